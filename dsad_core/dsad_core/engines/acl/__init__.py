"""Backend ``acl``: an .om built by ATC and run through pyACL, on an Ascend NPU. *Not run on hardware.*

Written against CANN's documentation of ATC and of pyACL; what tests there are run on a stand-in for both.
"""

import shlex
import shutil
from pathlib import Path

from dsad_core.engines import cache
from dsad_core.engines.acl.atc import atc_command, build_om, plan_key, soc_version
from dsad_core.engines.manifest import MODEL_FILE, Manifest
from dsad_core.engines.platform import Platform
from dsad_core.engines.protocol import Engine
from dsad_core.errors import PlatformError
from dsad_core.hardware import Finding, python_module

ENVIRONMENT = "source /usr/local/Ascend/ascend-toolkit/set_env.sh"


def requirements(options: Platform) -> list[Finding]:
    """pyACL and ATC, both of the CANN toolkit."""
    atc = shutil.which("atc")
    return [python_module("acl", ENVIRONMENT), Finding(atc is not None, "ATC", atc or ENVIRONMENT)]


def command_line(folder: Path, manifest: Manifest, options: Platform, size: tuple[int, int]) -> str:
    """What ``build`` runs, for a shell; where no NPU is found, for the SoC of an Atlas 200I DK A2.

    Raises:
        UnsupportedModelError, UsageError: see ``atc.plan_key``.
    """
    key = plan_key(manifest, options, size, soc_version() or "Ascend310B4")
    return shlex.join(atc_command(key, manifest, folder / MODEL_FILE, Path(manifest.name)))


def build(
    folder: Path,
    manifest: Manifest,
    options: Platform,
    size: tuple[int, int],
    renew: bool = False,
) -> Path:
    """The .om for frames of ``size`` (height, width), out of the cache or built by ATC, in minutes.

    ATC's command is told to ``progress`` before it is run.

    Args:
        renew: build it even where it is there.

    Raises:
        PlatformError: no NPU, or no ATC to build with.
        UnsupportedModelError: a precision or an operator that ATC does not take.
        EngineError: ATC failed.
    """
    key = plan_key(manifest, options, size, _soc())

    def run() -> bytes:
        if shutil.which("atc") is None:
            raise PlatformError(
                f"no atc here ({ENVIRONMENT}); the command would be: "
                + command_line(folder, manifest, options, size)
            )
        return build_om(key, manifest, folder / MODEL_FILE)

    return cache.obtain(key, run, renew)


def stale(folder: Path, manifest: Manifest, options: Platform, size: tuple[int, int]) -> str | None:
    """Why the .om for ``size`` (height, width) would have to be built; None where it is there and good.

    Raises:
        PlatformError, UnsupportedModelError: as ``build``.
    """
    return cache.stale(plan_key(manifest, options, size, _soc()))


def open_engine(folder: Path, manifest: Manifest, options: Platform, threads: int) -> Engine:
    """See ``backends``."""
    from dsad_core.engines.acl.engine import AclEngine

    return AclEngine(folder, manifest, options, _soc())


def _soc() -> str:
    soc = soc_version()
    if soc is None:
        raise PlatformError("no Ascend NPU answers, neither through pyACL nor through `npu-smi info`")
    return soc
