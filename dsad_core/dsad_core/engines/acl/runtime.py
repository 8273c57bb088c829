"""pyACL, each answer checked, and an .om ready to run. *Not run on hardware.*"""

import atexit
import contextlib
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dsad_core.engines.planned import DeviceMemoryError, PlanError
from dsad_core.errors import EngineError

DEVICE = 0
#: aclrtMemMallocPolicy ACL_MEM_MALLOC_HUGE_FIRST, aclrtMemcpyKind, aclDataType ACL_FLOAT.
HUGE_FIRST, HOST_TO_DEVICE, DEVICE_TO_HOST, FLOAT = 0, 1, 2, 0
#: aclrtMemAttr ACL_DDR_MEM, which the 310 series has, and ACL_HBM_MEM.
MEMORIES = (0, 1)
REPEATED_INITIALIZE = 100002
#: ACL_ERROR_BAD_ALLOC, _STORAGE_OVER_LIMIT, _RT_MEMORY_ALLOCATION, _GE_MEMORY_ALLOCATION.
OUT_OF_MEMORY = (200000, 300000, 207001, 245000)
MEBIBYTE = 1 << 20


class AclError(EngineError):
    """A pyACL function that failed.

    Attributes:
        code: its aclError.
    """

    def __init__(self, function: str, code: int, message: str):
        super().__init__(f"acl.{function} failed with code {code}" + (f": {message}" if message else ""))
        self.code = code


class Acl:
    """Calls pyACL by the functions' names: ``acl("rt.malloc", size, policy)``."""

    def __init__(self, module: ModuleType):
        self.module = module

    def __call__(self, function: str, *arguments: Any) -> Any:
        """What a function that also returns an error code returns beside it: nothing, a value or a tuple.

        Raises:
            AclError: the code is not 0.
        """
        answer = attrgetter(function)(self.module)(*arguments)
        *values, code = answer if isinstance(answer, tuple) else (answer,)
        if code != 0:
            raise self._error(function, code)
        return values[0] if len(values) == 1 else tuple(values) or None

    def make(self, function: str, *arguments: Any) -> Any:
        """What a function without an error code made.

        Raises:
            EngineError: null.
        """
        made = attrgetter(function)(self.module)(*arguments)
        if not made:
            raise EngineError(f"acl.{function} returned null")
        return made

    def get(self, function: str, *arguments: Any) -> Any:
        """What a function that cannot fail returns."""
        return attrgetter(function)(self.module)(*arguments)

    def free_memory(self) -> tuple[int, int]:
        """Free and total bytes of the device's memory; (0, 0) where it does not tell."""
        for attribute in MEMORIES:
            free, total, code = self.module.rt.get_mem_info(attribute)
            if code == 0 and total:
                return free, total
        return 0, 0

    def _error(self, function: str, code: int) -> AclError:
        # Older releases lack it.
        recent = getattr(self.module, "get_recent_err_msg", str)()
        return AclError(function, code, " ".join(str(recent or "").split()))


@cache
def initialise(module: ModuleType) -> Acl:
    """Once in a process: ACL cannot be initialised again, and resetting the device frees what others hold.

    Raises:
        AclError: ACL refuses, or the device.
    """
    acl = Acl(module)
    try:
        acl("init")
    except AclError as error:
        # Another library in the process was first, and finalises it.
        if error.code != REPEATED_INITIALIZE:
            raise
    else:
        atexit.register(module.finalize)
        # Called first, and like the other without anyone left to tell of a failure.
        atexit.register(module.rt.reset_device, DEVICE)
    acl("rt.set_device", DEVICE)
    return acl


class OmSession:
    """An .om with its buffers on the device, in the calling thread's context; see ``planned.Session``.

    Args:
        shape: (1, C, H, W) of the frames.

    Raises:
        PlanError: ACL refuses the file, or it is not for these frames.
        EngineError: the device has not the memory, or fails.
    """

    def __init__(self, acl: Acl, path: Path, shape: tuple[int, int, int, int]):
        self._acl = acl
        self._resources = contextlib.ExitStack()
        self._logits = np.zeros((1, 1, *shape[2:]), np.float32)
        try:
            self._open(path, shape)
        except AclError as error:
            with contextlib.suppress(EngineError):
                self.close()
            if error.code in OUT_OF_MEMORY:
                free, total = acl.free_memory()
                raise DeviceMemoryError(
                    f"frames of {shape[3]}x{shape[2]} need more memory than the NPU has left, "
                    f"{free // MEBIBYTE} of {total // MEBIBYTE} MiB ({error})"
                ) from error
            raise
        except BaseException:
            self.close()
            raise

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """See ``planned.Session``."""
        acl, logits = self._acl, self._logits
        acl("rt.memcpy", self._input, self._input_size, tensor.ctypes.data, tensor.nbytes, HOST_TO_DEVICE)
        acl("mdl.execute", self._model, self._inputs, self._outputs)
        acl("rt.memcpy", logits.ctypes.data, logits.nbytes, self._output, logits.nbytes, DEVICE_TO_HOST)
        return logits[0, 0]

    def close(self) -> None:
        """See ``planned.Session``.

        Raises:
            EngineError: something could not be freed; the rest was.
        """
        self._resources.close()

    def _open(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        acl = self._acl
        try:
            self._model = acl("mdl.load_from_file", str(path))
        except AclError as error:
            if error.code in OUT_OF_MEMORY:
                raise
            raise PlanError(f"{path}: {error}") from error
        self._resources.callback(acl, "mdl.unload", self._model)
        self._description = acl.make("mdl.create_desc")
        self._resources.callback(acl, "mdl.destroy_desc", self._description)
        acl("mdl.get_desc", self._description, self._model)
        self._input, self._input_size, self._inputs = self._dataset("input", path, shape)
        self._output, _, self._outputs = self._dataset("output", path, self._logits.shape)

    def _dataset(self, kind: str, path: Path, shape: tuple[int, ...]) -> tuple[int, int, Any]:
        """Address, size and data set of the model's one input or output."""
        acl, description = self._acl, self._description
        count = acl.get(f"mdl.get_num_{kind}s", description)
        if count != 1:
            raise PlanError(f"{path}: has {count} {kind}s, an engine has one")
        found = tuple(acl(f"mdl.get_{kind}_dims", description, 0)["dims"])
        data_type = acl.get(f"mdl.get_{kind}_data_type", description, 0)
        size = acl.get(f"mdl.get_{kind}_size_by_index", description, 0)
        if found != tuple(shape) or data_type != FLOAT or size < 4 * np.prod(shape):
            raise PlanError(
                f"{path}: its {kind} is {found} of aclDataType {data_type} in {size} bytes, "
                f"an engine for these frames has {tuple(shape)} of float32"
            )
        address = acl("rt.malloc", size, HUGE_FIRST)
        self._resources.callback(acl, "rt.free", address)
        dataset = acl.make("mdl.create_dataset")
        self._resources.callback(acl, "mdl.destroy_dataset", dataset)
        buffer = acl.make("create_data_buffer", address, size)
        self._resources.callback(acl, "destroy_data_buffer", buffer)
        acl("mdl.add_dataset_buffer", dataset, buffer)
        return address, size, dataset
