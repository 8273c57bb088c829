"""What platforms and backends need of a machine, and whether this machine has it."""

import ctypes
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that is needed.

    Attributes:
        ok: it is there.
        what: its name, e.g. "NVIDIA driver".
        hint: what was found, or how to get it.
    """

    ok: bool
    what: str
    hint: str


def device(platform: str) -> list[Finding]:
    """The hardware and driver of a platform; what runs on it is for each backend to say."""
    if platform == "cuda":
        return [nvidia_driver()]
    if platform == "agx":
        return [jetson_board(), nvidia_driver()]
    return [ascend_driver()] if platform == "ascend" else []


def jetson_board(root: Path = Path("/")) -> Finding:
    """Whether this is a Jetson. A container has the device tree of its host, not always the release file."""
    release, tree = root / "etc/nv_tegra_release", root / "proc/device-tree/compatible"
    found = _first_line(release)
    if not found:
        names = _first_line(tree).split("\0")
        found = next((name for name in names if name.startswith("nvidia,tegra")), "")
    return Finding(bool(found), "Jetson board", found or f"neither {release} nor {tree} names one")


def find_onnxruntime() -> Any:
    """The module; None where it is not installed, as on a board that runs TensorRT or CANN alone."""
    try:
        import onnxruntime
    except ImportError:
        return None
    return onnxruntime


def onnxruntime_provider(name: str, hint: str) -> Finding:
    """An execution provider of the onnxruntime that is installed, if one is."""
    onnxruntime = find_onnxruntime()
    if onnxruntime is None:
        return Finding(False, f"onnxruntime {name}", hint)
    ok = name in onnxruntime.get_available_providers()
    return Finding(ok, f"onnxruntime {name}", f"onnxruntime {onnxruntime.__version__}" if ok else hint)


def nvidia_driver() -> Finding:
    """The driver of an NVIDIA GPU, desktop or Jetson."""
    found = _first_line(Path("/proc/driver/nvidia/version"))
    finding = shared_library(
        "NVIDIA driver", "libcuda.so.1", hint="no libcuda.so.1: no NVIDIA GPU or no driver"
    )
    return Finding(True, finding.what, found) if finding.ok and found else finding


def ascend_driver() -> Finding:
    """The driver of an Ascend NPU."""
    node = Path("/dev/davinci_manager")
    # In a container the device node may be all there is of the driver, without its tool.
    driver = str(node) if node.exists() else shutil.which("npu-smi")
    return Finding(driver is not None, "Ascend NPU driver", driver or f"neither {node} nor npu-smi: no NPU")


def shared_library(what: str, *names: str, hint: str) -> Finding:
    """A library that the loader finds under one of its names."""
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return Finding(True, what, name)
    return Finding(False, what, hint)


def python_module(name: str, hint: str) -> Finding:
    """A Python module that can be imported; it is not imported here."""
    if find_spec(name) is None:
        return Finding(False, name, hint)
    try:
        return Finding(True, name, version(name))
    except PackageNotFoundError:
        return Finding(True, name, "installed")


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").split("\n", 1)[0].strip()
    except OSError:
        return ""
