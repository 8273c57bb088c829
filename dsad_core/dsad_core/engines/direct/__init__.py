"""Backend ``direct``: our own compiled kernels for the networks of this suite on a CPU.

Narrow networks are bound by layout, not by arithmetic: 4 channels fill a quarter of the blocks of 16 that
general runtimes work in. Here every channel is a plane of its own, vectors run along its rows, a
concatenation is a list of planes, and what follows a convolution is done while its result is in registers.
"""

from pathlib import Path

from dsad_core.engines.direct.engine import DirectEngine, least_size
from dsad_core.engines.direct.library import load_kernels
from dsad_core.engines.direct.plan import Plan
from dsad_core.engines.direct.program import kept_ranges, make_program, read_program
from dsad_core.engines.manifest import MODEL_FILE, PROGRAM_FILE, Manifest
from dsad_core.engines.platform import Platform
from dsad_core.errors import PlatformError, UnsupportedModelError
from dsad_core.files import sha256_file, write_atomic
from dsad_core.hardware import Finding

_KERNELS = "compiled kernels"


def requirements(options: Platform) -> list[Finding]:
    """The kernels, built at install for a CPU like this one."""
    try:
        kernels = Finding(True, _KERNELS, load_kernels().name)
    except PlatformError as error:
        kernels = Finding(False, _KERNELS, str(error).removeprefix(f"{_KERNELS}: "))
    return [kernels]


def open_engine(folder: Path, manifest: Manifest, options: Platform, threads: int) -> DirectEngine:
    """See ``backends``."""
    return DirectEngine(folder, manifest, options, threads)


def add_program(folder: Path, manifest: Manifest) -> Manifest:
    """Write ``folder/model.direct`` where these kernels can run the model, and return a manifest that says so.

    It needs the package ``onnx``. A model that they cannot run has no such file, and an old one is removed.

    Raises:
        EngineError: ``folder/model.onnx`` is damaged.
    """
    path = folder / PROGRAM_FILE
    update: dict[str, str | None] = {"program_sha256": None}
    try:
        ranges = kept_ranges(folder)  # of an engine on 8-bit integers, whose model is float32
        if manifest.precision != ("fp32" if ranges is None else "int8"):
            raise UnsupportedModelError(f"kernels do not run a model in {manifest.precision}")
        write_atomic(path, make_program(folder / MODEL_FILE, ranges))
        Plan(read_program(folder, manifest.sha256), *least_size(manifest), lanes=16)
        update["program_sha256"] = sha256_file(path)
    except UnsupportedModelError:
        path.unlink(missing_ok=True)
    return manifest.model_copy(update=update)
