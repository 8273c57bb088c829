"""CUDA's runtime through ``cuda-python``, in both layouts that it has had."""

import ctypes
import importlib
import math
import weakref
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from dsad_core.errors import EngineError, PlatformError, one_line

#: Since cuda-python 12.6, and before (on JetPack).
MODULES = ("cuda.bindings.runtime", "cuda.cudart")
MEMORY_ALLOCATION = 2


class CudaError(EngineError):
    """A CUDA function that failed.

    Attributes:
        out_of_memory: for want of memory.
    """

    def __init__(self, function: str, reason: str, out_of_memory: bool = False):
        super().__init__(f"{function} failed: {reason}")
        self.out_of_memory = out_of_memory


@dataclass(frozen=True)
class Device:
    """The GPU.

    Attributes:
        name: e.g. "Orin".
        capability: compute capability, e.g. "8.7".
        driver: the CUDA version of the driver, e.g. "12.6".
    """

    name: str
    capability: str
    driver: str


class Cuda:
    """Calls functions of CUDA's runtime by name, each answer checked.

    Raises:
        PlatformError: cuda-python is not installed.
    """

    def __init__(self):
        self.api: Any = find_module()
        if self.api is None:
            raise PlatformError("no cuda-python: pip install cuda-python, of the driver's CUDA release")

    def __call__(self, function: str, *arguments: Any) -> Any:
        """What the function returns beside its error code: nothing, one value, or a tuple.

        Raises:
            CudaError: it failed.
        """
        try:
            code, *values = getattr(self.api, function)(*arguments)
        except RuntimeError as error:  # of the older layout, where there is no driver
            raise CudaError(function, one_line(error)) from error
        check(function, code)
        return values[0] if len(values) == 1 else tuple(values) or None

    def pinned(self, shape: tuple[int, ...]) -> np.ndarray:
        """A float32 array, zero, in host memory that the GPU copies to and from without a detour.

        It is freed when the last view of it is gone, so that a caller may outlive the engine.
        """
        size = 4 * math.prod(shape)
        address = int(self("cudaMallocHost", size))
        memory = (ctypes.c_char * size).from_address(address)
        weakref.finalize(memory, self.api.cudaFreeHost, address)
        array = np.frombuffer(memoryview(memory), np.float32).reshape(shape)
        array[...] = 0.0
        return array


def check(function: str, code: Any) -> None:
    """Raise ``CudaError`` unless the ``cudaError_t`` says success."""
    if int(code) != 0:
        reason = f"{getattr(code, 'name', code)} ({int(code)})"
        raise CudaError(function, reason, int(code) == MEMORY_ALLOCATION)


@cache
def find_module() -> ModuleType | None:
    """cuda-python's runtime module; None where it is not installed."""
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except Exception:  # a wheel of another Python or CUDA fails in ways of its own
            continue
    return None


def find_device() -> Device | None:
    """The first GPU; None where there is none, or no driver or cuda-python for it."""
    try:
        cuda = Cuda()
        if cuda("cudaGetDeviceCount") == 0:
            return None
        properties = cuda("cudaGetDeviceProperties", 0)
        driver = cuda("cudaDriverGetVersion")
    except (PlatformError, CudaError):
        return None
    return Device(
        name=properties.name.split(b"\0", 1)[0].decode(errors="replace"),
        capability=f"{properties.major}.{properties.minor}",
        driver=f"{driver // 1000}.{driver % 1000 // 10}",
    )
