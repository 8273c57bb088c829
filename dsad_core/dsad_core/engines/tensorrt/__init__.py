"""Backend ``tensorrt``: plans by TensorRT (JetPack, desktop) or TensorRT-RTX, run through CUDA graphs."""

from pathlib import Path

from dsad_core.engines import cache
from dsad_core.engines.manifest import Manifest
from dsad_core.engines.platform import Platform
from dsad_core.engines.protocol import Engine
from dsad_core.engines.tensorrt.api import find_api, require_api
from dsad_core.engines.tensorrt.cuda import find_device, find_module
from dsad_core.engines.tensorrt.plan import build_plan, plan_key
from dsad_core.hardware import Finding


def requirements(options: Platform) -> list[Finding]:
    """TensorRT, and CUDA's runtime for Python."""
    api, reason = find_api()
    module = find_module()
    remedy = "on a Jetson apt install nvidia-jetpack, else pip install tensorrt, or dsad_core[rtx]"
    return [
        Finding(api is not None, "TensorRT", api.name if api else f"{reason}; {remedy}"),
        Finding(
            module is not None,
            "cuda-python",
            module.__name__ if module else "pip install cuda-python, of the driver's CUDA release",
        ),
    ]


def build(
    folder: Path,
    manifest: Manifest,
    options: Platform,
    size: tuple[int, int],
    renew: bool = False,
) -> Path:
    """The plan for frames of ``size`` (height, width), out of the cache or built.

    TensorRT-RTX builds without a GPU, too: a plan for any that it supports.

    Each phase of a build is told to ``progress``.

    Args:
        renew: build it even where it is there.

    Raises:
        PlatformError: no TensorRT here, or no GPU where it needs one to build.
        UnsupportedModelError: a precision or an operator that it lacks.
        EngineError: the model is not what an engine must be, or the build failed.
    """
    api, device = require_api(), find_device()
    key = plan_key(api, device, manifest, options, size)
    return cache.obtain(key, lambda: build_plan(api, device, folder, manifest, key), renew)


def stale(folder: Path, manifest: Manifest, options: Platform, size: tuple[int, int]) -> str | None:
    """Why the plan for ``size`` (height, width) would have to be built; None where it is there and good.

    Raises:
        PlatformError, UnsupportedModelError: as ``build``.
    """
    return cache.stale(plan_key(require_api(), find_device(), manifest, options, size))


def open_engine(folder: Path, manifest: Manifest, options: Platform, threads: int) -> Engine:
    """See ``backends``."""
    from dsad_core.engines.tensorrt.engine import TensorRtEngine

    return TensorRtEngine(folder, manifest, options)
