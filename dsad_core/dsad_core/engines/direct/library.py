"""The compiled kernels: find the build for this CPU, load it, call it."""

import ctypes
import platform
import shutil
from ctypes import POINTER, Structure, c_double, c_int32, c_void_p
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np

from dsad_core.errors import PlatformError, one_line
from dsad_core.machine import cpu_flags

#: Of the interface in kernels.cpp.
VERSION = 6
#: Best first: the build's suffix, what it is called, and the flags of /proc/cpuinfo that it needs.
_X86_BUILDS = (
    ("_v4", "x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma", "bmi2"}),
    ("_v3", "x86-64-v3", {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"}),
)
_REINSTALL = "reinstall dsad_core where g++ is present"


class Sampling(Structure):
    """Mirror of ``Sampling`` in program.hpp."""

    _fields_ = [(name, c_int32) for name in ("height", "width", "stride", "unused")]
    _fields_ += [(name, c_void_p) for name in ("rows", "columns", "row_shares", "column_shares", "pairs")]


class Op(Structure):
    """Mirror of ``Op`` in program.hpp."""

    _fields_ = [
        (name, c_int32)
        for name in (
            "kind",
            "items",
            "band",
            "inputs",
            "outputs",
            "height",
            "width",
            "stride",
            "in_height",
            "in_width",
            "in_stride",
            "taps",
            "block",
            "mode",
            "side_inputs",
            "side_taps",
            "hidden",
            "shortcuts",
        )
    ]
    _fields_ += [
        (name, c_void_p)
        for name in (
            "in_",
            "out",
            "weights",
            "bias",
            "offsets",
            "side",
            "side_weights",
            "gated",
            "gate",
            "partial",
            "gate_weights",
            "sampling",
        )
    ]


class Kernels:
    """A loaded library.

    Attributes:
        name: the instruction set it was built for.
        lanes: floats in one of its vectors.
        bytes: it runs programs on bytes on this CPU.

    Raises:
        PlatformError: it cannot be loaded, or is of another version than this module.
    """

    def __init__(self, path: Path, name: str):
        self.name = name
        try:
            library = ctypes.CDLL(str(path))
            interface = library.direct_version(), library.direct_op_bytes(), library.direct_sampling_bytes()
        except (OSError, AttributeError) as error:
            raise _missing(f"{path.name} cannot be loaded ({one_line(error)}); {_REINSTALL}") from error
        if interface != (VERSION, ctypes.sizeof(Op), ctypes.sizeof(Sampling)):
            raise _missing(f"{path.name} is of another version of dsad_core; {_REINSTALL}")
        self.lanes = library.direct_lanes()
        self.bytes = bool(library.direct_bytes())
        library.direct_open.restype = c_void_p
        library.direct_close.argtypes = [c_void_p]
        library.direct_run.argtypes = [c_void_p, POINTER(Op), ctypes.c_int, c_void_p, c_void_p]
        library.direct_close.restype = None
        library.direct_peak.restype = c_double
        self._library = library

    def open_pool(self, threads: int) -> int:
        """Start the threads; the handle goes to ``run`` and ``close_pool``."""
        pool = self._library.direct_open(threads)
        if not pool:
            raise PlatformError(f"{threads} threads cannot be started")
        return pool

    def run(self, pool: int, ops: ctypes.Array, image: np.ndarray, logits: np.ndarray) -> None:
        """Run the operators of a ``Plan`` on one frame; MemoryError if the threads have no room for their part."""
        if self._library.direct_run(pool, ops, len(ops), image.ctypes.data, logits.ctypes.data):
            raise MemoryError("no memory for the threads' part of the kernels")

    def peak(self, threads: int) -> float:
        """Float operations a second of so many threads at once, measured in some 0.1 s: a multiply-add is two."""
        flops = self._library.direct_peak(threads)
        if not flops:
            raise PlatformError(f"{threads} threads cannot be started")
        return flops

    def close_pool(self, pool: int) -> None:
        """End the threads and wait for them."""
        self._library.direct_close(pool)


@lru_cache(maxsize=1)
def load_kernels() -> Kernels:
    """The best build that is here and that this CPU can run.

    Raises:
        PlatformError: none was built, it is of another version, or the CPU is too old for any.
    """
    builds = runnable_builds()
    for suffix, name in builds:
        for ending in EXTENSION_SUFFIXES:
            path = Path(__file__).with_name(f"_kernels{suffix}{ending}")
            if path.is_file():
                return Kernels(path, name)
    # Left by a build that failed, see setup.py.
    failed = Path(__file__).with_name(f"_kernels{builds[0][0]}.failed")
    if failed.is_file():
        raise _missing(f"not built: {failed.read_text().strip()}")
    if shutil.which("g++") is None:
        raise _missing(f"not built; {_REINSTALL}")
    raise _missing(
        "not built, though g++ is here; `pip install -v` of dsad_core shows the compiler's message"
    )


def runnable_builds() -> list[tuple[str, str]]:
    """(suffix, name) of the builds that this CPU can run, best first.

    Raises:
        PlatformError: it is too old for any.
    """
    machine = platform.machine()
    if machine not in ("x86_64", "AMD64"):
        return [("", machine)]
    flags = cpu_flags()
    builds = [(suffix, name) for suffix, name, needed in _X86_BUILDS if needed <= flags]
    if not builds:
        raise _missing("they need a CPU with AVX2 and FMA")
    return builds


def _missing(reason: str) -> PlatformError:
    return PlatformError(f"compiled kernels: {reason}")
