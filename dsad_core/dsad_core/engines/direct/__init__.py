"""Backend ``direct``: our own compiled kernels for the networks of this suite on a CPU.

Narrow networks are bound by layout, not by arithmetic: 4 channels fill a quarter of the blocks of 16 that
general runtimes work in. Here every channel is a plane of its own, vectors run along its rows, a
concatenation is a list of planes, and what follows a convolution is done while its result is in registers.
"""

from pathlib import Path

from dsad_core.engines.direct.engine import DirectEngine
from dsad_core.engines.direct.library import load_kernels
from dsad_core.engines.manifest import Manifest
from dsad_core.engines.platform import Platform
from dsad_core.errors import PlatformError
from dsad_core.hardware import Finding, python_module

_KERNELS = "compiled kernels"


def requirements(options: Platform) -> list[Finding]:
    """The kernels, built at install for a CPU like this one, and the package that reads models."""
    try:
        kernels = Finding(True, _KERNELS, load_kernels().name)
    except PlatformError as error:
        kernels = Finding(False, _KERNELS, str(error).removeprefix(f"{_KERNELS}: "))
    return [kernels, python_module("onnx", "pip install onnx")]


def open_engine(folder: Path, manifest: Manifest, options: Platform, threads: int) -> DirectEngine:
    """See ``backends``."""
    return DirectEngine(folder, manifest, options, threads)
