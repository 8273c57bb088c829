"""What each target needs of a machine, and whether this machine has it."""

import ctypes
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from dsad_core.errors import TargetError


@dataclass(frozen=True)
class Finding:
    """One thing a target needs.

    Attributes:
        ok: it is there.
        what: its name, e.g. "NVIDIA driver".
        hint: what was found, or how to get it.
    """

    ok: bool
    what: str
    hint: str


def check_target(target: str) -> list[Finding]:
    """Everything the target needs, found or not.

    Raises:
        TargetError: no such target.
    """
    try:
        check = _CHECKS[target]
    except KeyError:
        raise TargetError(f"target {target!r} is not one of {', '.join(_CHECKS)}") from None
    return check()


def require_target(target: str) -> None:
    """Do nothing where the target can run; else one line that says everything missing.

    Raises:
        TargetError: no such target, or something is missing.
    """
    missing = [finding for finding in check_target(target) if not finding.ok]
    if missing:
        needs = "; ".join(f"{finding.what} ({finding.hint})" for finding in missing)
        raise TargetError(f"target {target} cannot run on this machine, missing: {needs}")


def _cpu() -> list[Finding]:
    return [_provider("CPUExecutionProvider", "pip install onnxruntime")]


def _cuda() -> list[Finding]:
    return [_nvidia_driver(), _provider("CUDAExecutionProvider", "pip install onnxruntime-gpu")]


def _agx() -> list[Finding]:
    release = Path("/etc/nv_tegra_release")
    return [
        Finding(release.is_file(), "Jetson board", _first_line(release) or f"no {release}: not a Jetson"),
        _nvidia_driver(),
        _library("TensorRT", "libnvinfer.so.10", "libnvinfer.so.8", hint="apt install nvidia-jetpack"),
        _provider("TensorrtExecutionProvider", "the onnxruntime-gpu wheel for JetPack"),
    ]


def _ascend() -> list[Finding]:
    device, toolkit = Path("/dev/davinci_manager"), Path("/usr/local/Ascend")
    # In a container the device node may be all there is of the driver, without its tool.
    driver = str(device) if device.exists() else shutil.which("npu-smi")
    environment = "source /usr/local/Ascend/ascend-toolkit/set_env.sh"
    return [
        Finding(driver is not None, "Ascend NPU driver", driver or f"neither {device} nor npu-smi: no NPU"),
        _library("CANN runtime", "libascendcl.so",
                 hint=environment if toolkit.is_dir() else f"no {toolkit}: install the CANN toolkit"),
        _provider("CANNExecutionProvider", "pip install onnxruntime-cann 'numpy<2'"),
    ]


_CHECKS: dict[str, Callable[[], list[Finding]]] = {"cpu": _cpu, "cuda": _cuda, "agx": _agx, "ascend": _ascend}


def _provider(name: str, hint: str) -> Finding:
    ok = name in onnxruntime.get_available_providers()
    return Finding(ok, f"onnxruntime {name}", f"onnxruntime {onnxruntime.__version__}" if ok else hint)


def _nvidia_driver() -> Finding:
    version = _first_line(Path("/proc/driver/nvidia/version"))
    finding = _library("NVIDIA driver", "libcuda.so.1", hint="no libcuda.so.1: no NVIDIA GPU or no driver")
    return Finding(True, finding.what, version) if finding.ok and version else finding


def _library(what: str, *names: str, hint: str) -> Finding:
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return Finding(True, what, name)
    return Finding(False, what, hint)


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").split("\n", 1)[0].strip()
    except OSError:
        return ""
