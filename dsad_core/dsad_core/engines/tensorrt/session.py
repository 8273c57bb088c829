"""A plan ready to run on frames of one size: buffers, stream and CUDA graph."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dsad_core.engines.cache import keep_shared
from dsad_core.engines.manifest import INPUT_NAME, OUTPUT_NAME
from dsad_core.engines.planned import DeviceMemoryError, PlanError
from dsad_core.engines.tensorrt.api import Api
from dsad_core.engines.tensorrt.cuda import Cuda, CudaError, check
from dsad_core.errors import EngineError

MEBIBYTE = 1 << 20


class Session:
    """Copies a frame to the GPU, runs the plan and copies the logits back, as one CUDA graph.

    Attributes:
        no_graph: why copies and kernels are queued one by one instead; '' where the graph runs.

    Args:
        runtime: ``trt.Runtime``; it must outlive the session.
        shape: (1, C, H, W) of the frames.
        kernels: file that keeps what TensorRT-RTX compiles at the first run.

    Raises:
        PlanError: the runtime refuses the plan.
        EngineError: the GPU has not the memory, or fails.
    """

    def __init__(
        self, api: Api, cuda: Cuda, runtime: Any, plan: bytes, shape: tuple[int, int, int, int], kernels: Path
    ):
        self._api, self._cuda = api, cuda
        self._resources = contextlib.ExitStack()
        self._engine: Any = None
        self._context: Any = None
        self._graph: Any = None
        try:
            self._open(runtime, plan, shape, kernels)
        except BaseException:
            self.close()
            raise

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """See ``planned.Session``; from any thread, one at a time.

        Raises:
            EngineError: the GPU or TensorRT fails.
        """
        np.copyto(self._image, tensor)
        self._run()
        return self._logits[0, 0]

    def close(self) -> None:
        """See ``planned.Session``."""
        self._graph = None
        self._context = None
        self._engine = None
        self._resources.close()

    def _run(self) -> None:
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda("cudaGraphLaunch", self._graph, self._stream)
        self._cuda("cudaEventRecord", self._event, self._stream)
        # The event lets the thread sleep; waiting for the stream would spin on a core.
        self._cuda("cudaEventSynchronize", self._event)

    def _open(self, runtime: Any, plan: bytes, shape: tuple[int, int, int, int], kernels: Path) -> None:
        api, cuda = self._api, self._cuda
        logits_shape = (1, 1, *shape[2:])
        api.messages.clear()
        engine = self._engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise PlanError(f"{api.name} refuses the plan: {api.last_messages()}")
        for name, expected in ((INPUT_NAME, shape), (OUTPUT_NAME, logits_shape)):
            found = tuple(engine.get_tensor_shape(name))
            if found != expected:
                raise PlanError(f"the plan's {name} is {found}, not {expected}")
        self._context, compiled = api.context(engine, kernels.read_bytes() if kernels.is_file() else None)
        if self._context is None:
            raise self._no_memory(shape, api.context_memory(engine), api.last_messages())
        try:
            self._image, self._logits = cuda.pinned(shape), cuda.pinned(logits_shape)
            self._inputs, self._outputs = self._on_device(self._image), self._on_device(self._logits)
        except CudaError as error:
            if not error.out_of_memory:
                raise
            raise self._no_memory(shape, self._bytes(shape), str(error)) from error
        self._stream = self._owned("cudaStreamDestroy", cuda("cudaStreamCreate"))
        flags = cuda.api.cudaEventBlockingSync | cuda.api.cudaEventDisableTiming
        self._event = self._owned("cudaEventDestroy", cuda("cudaEventCreateWithFlags", flags))
        for name, address in ((INPUT_NAME, self._inputs), (OUTPUT_NAME, self._outputs)):
            self._context.set_tensor_address(name, address)
        self._run()
        if compiled is not None:
            keep_shared(kernels, compiled())
        self.no_graph = self._capture()

    def _enqueue(self) -> None:
        kinds, stream = self._cuda.api.cudaMemcpyKind, self._stream
        self._cuda(
            "cudaMemcpyAsync",
            self._inputs,
            self._image.ctypes.data,
            self._image.nbytes,
            kinds.cudaMemcpyHostToDevice,
            stream,
        )
        self._api.messages.clear()
        if not self._context.execute_async_v3(int(stream)):
            raise EngineError(f"{self._api.name} failed: {self._api.last_messages()}")
        self._cuda(
            "cudaMemcpyAsync",
            self._logits.ctypes.data,
            self._outputs,
            self._logits.nbytes,
            kinds.cudaMemcpyDeviceToHost,
            stream,
        )

    def _capture(self) -> str:
        """Record one run as a CUDA graph; the reason where that cannot be done."""
        cuda = self._cuda
        # Calls of other threads, such as another engine's, must not spoil the recording.
        mode = cuda.api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        try:
            cuda("cudaStreamBeginCapture", self._stream, mode)
            try:
                self._enqueue()
            finally:
                # Ends the capture in any case; after a failure it fails itself.
                code, graph = cuda.api.cudaStreamEndCapture(self._stream)
            check("cudaStreamEndCapture", code)
            self._owned("cudaGraphDestroy", graph)
            self._graph = self._owned("cudaGraphExecDestroy", cuda("cudaGraphInstantiateWithFlags", graph, 0))
            self._run()
        except EngineError as error:
            self._graph = None
            cuda.api.cudaGetLastError()  # else the next call reports the failure again
            self._run()
            return str(error)
        return ""

    def _on_device(self, array: np.ndarray) -> int:
        return int(self._owned("cudaFree", self._cuda("cudaMalloc", array.nbytes)))

    def _owned(self, free: str, resource: Any) -> Any:
        function: Callable[[Any], Any] = getattr(self._cuda.api, free)
        self._resources.callback(function, resource)
        return resource

    def _bytes(self, shape: tuple[int, int, int, int]) -> int:
        _, channels, height, width = shape
        return 4 * height * width * (channels + 1)

    def _no_memory(self, shape: tuple[int, int, int, int], needed: int, reason: str) -> DeviceMemoryError:
        free, total = self._cuda("cudaMemGetInfo")
        needs = f"frames of {shape[3]}x{shape[2]} need {-(-needed // MEBIBYTE)} MiB of GPU memory"
        return DeviceMemoryError(
            f"{needs}, {free // MEBIBYTE} of {total // MEBIBYTE} MiB are free ({reason})"
        )
