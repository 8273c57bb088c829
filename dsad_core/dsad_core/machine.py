"""Facts about the machine, for defaults and for every figure that is printed."""

import math
import os
import platform
import subprocess
from pathlib import Path

import numpy as np

#: Vector extensions that decide how fast a network runs: x86, then ARM.
VECTOR_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve"),
)


def usable_cores() -> int:
    """Physical cores this process may use: its affinity and a container's quota counted in."""
    cores = min(_physical_cores(), len(os.sched_getaffinity(0)))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def cpu_model() -> str:
    """The CPU's own name, or the architecture where nothing says; of an ARM board every kind of core."""
    if platform.machine() in ("x86_64", "AMD64"):
        kinds = _fields("model name", _read("/proc/cpuinfo"))[:1]
    else:  # ARM kernels number the designs; lscpu knows the names, and writes - where it doesn't
        kinds = [name for name in _fields("Model name", _lscpu()) if name != "-"]
    return ", ".join(dict.fromkeys(kinds)) or platform.machine()


def cpu_flags() -> set[str]:
    """The extensions of the first CPU as the kernel lists them; empty where it does not."""
    info = _read("/proc/cpuinfo")
    first = [*_fields("flags", info), *_fields("Features", info)][:1]
    return set(" ".join(first).split())


def accelerator_name() -> str:
    """The board or GPU as the driver names it; '' where there is none."""
    board = _read("/proc/device-tree/model").strip("\0\n ")
    gpus = [
        line.partition(":")[2].strip()
        for info in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        for line in _read(info).splitlines()
        if line.startswith("Model")
    ]
    return ", ".join(filter(None, [board, *gpus]))


def machine_facts() -> dict[str, str | int | float | list[str]]:
    """What a benchmark must say of where it ran; plain types, ready for JSON."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "cpu_flags": [flag for flag in VECTOR_FLAGS if flag in cpu_flags()],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "accelerator": accelerator_name(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        **_onnxruntime_facts(),
        "ros_distro": os.environ.get("ROS_DISTRO", ""),
    }


def _fields(name: str, text: str) -> list[str]:
    """Of lines ``name : value`` the values."""
    pairs = (line.partition(":") for line in text.splitlines())
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def _lscpu() -> str:
    try:
        done = subprocess.run(["lscpu"], env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True)
    except OSError:  # not installed
        return ""
    return done.stdout


def _physical_cores() -> int:
    """Cores without the second threads of each; every CPU where the kernel does not say."""
    topology = Path("/sys/devices/system/cpu")
    siblings = {_read(path) for path in topology.glob("cpu[0-9]*/topology/thread_siblings_list")}
    return len(siblings - {""}) or os.cpu_count() or 1


def _onnxruntime_facts() -> dict[str, str | list[str]]:
    # Imported here: the number of cores is asked for where no onnxruntime session is opened.
    from dsad_core.hardware import find_onnxruntime

    onnxruntime = find_onnxruntime()
    if onnxruntime is None:
        return {"onnxruntime": "not installed", "onnxruntime_providers": []}
    return {
        "onnxruntime": onnxruntime.__version__,
        "onnxruntime_providers": onnxruntime.get_available_providers(),
    }


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
