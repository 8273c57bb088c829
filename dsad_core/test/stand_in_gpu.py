"""A stand-in for a GPU where there is none: the parts of ``tensorrt`` and ``cuda-python`` that are used.

It is strict: memory that was not allocated, freed twice or never, a stream that does not exist or work queued
outside a capture that is under way fail the test. The network it "runs" doubles its input.
"""

import ctypes
import enum
import threading
from types import SimpleNamespace

import numpy as np


class Code(enum.IntEnum):
    success = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorNoDevice = 100
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureInvalidated = 901


class StandInCuda:
    """``cuda.bindings.runtime``."""

    __name__ = "cuda.bindings.runtime"
    cudaEventBlockingSync, cudaEventDisableTiming = 1, 2
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="to device", cudaMemcpyDeviceToHost="to host")
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread")

    def __init__(self, memory=1 << 30):
        self.free_bytes = self.total_bytes = memory
        self.host, self.device, self.handles = {}, {}, {}
        self.devices = 1
        self.failures = {}
        self.calls = []
        self.threads = set()
        self.capturing = None

    def __getattribute__(self, name):
        attribute = object.__getattribute__(self, name)
        if not name.startswith("cuda") or not callable(attribute):
            return attribute

        def checked(*arguments):
            self.calls.append(name)
            self.threads.add(threading.get_ident())
            code = self.failures.get(name, Code.success)
            if code != Code.success and name != "cudaStreamEndCapture":
                return (code, None)
            return attribute(*arguments)

        return checked

    def cudaGetDeviceCount(self):
        return (Code.success, self.devices) if self.devices else (Code.cudaErrorNoDevice, None)

    def cudaGetDeviceProperties(self, device):
        assert device == 0
        return Code.success, SimpleNamespace(name=b"Orin\0\0", major=8, minor=7)

    def cudaDriverGetVersion(self):
        return Code.success, 12060

    def cudaSetDevice(self, device):
        assert device == 0
        return (Code.success,)

    def cudaGetLastError(self):
        return (Code.success,)

    def cudaMemGetInfo(self):
        return Code.success, self.free_bytes, self.total_bytes

    def cudaMalloc(self, size):
        if size > self.free_bytes:
            return Code.cudaErrorMemoryAllocation, None
        self.free_bytes -= size
        return Code.success, self._keep(self.device, size)

    def cudaFree(self, address):
        self.free_bytes += len(self.device.pop(address))
        return (Code.success,)

    def cudaMallocHost(self, size):
        return Code.success, self._keep(self.host, size)

    def cudaFreeHost(self, address):
        del self.host[address]
        return (Code.success,)

    def cudaStreamCreate(self):
        return Code.success, self._handle("stream")

    def cudaStreamDestroy(self, stream):
        assert self.handles.pop(stream) == "stream"
        return (Code.success,)

    def cudaEventCreateWithFlags(self, flags):
        assert flags == 3
        return Code.success, self._handle("event")

    def cudaEventDestroy(self, event):
        assert self.handles.pop(event) == "event"
        return (Code.success,)

    def cudaEventRecord(self, event, stream):
        assert self.handles[event] == "event" and self.handles[stream] == "stream"
        assert self.capturing is None
        return (Code.success,)

    def cudaEventSynchronize(self, event):
        assert self.handles[event] == "event"
        return (Code.success,)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        targets, sources = (self.device, self.host) if kind == "to device" else (self.host, self.device)
        assert len(targets[target]) == len(sources[source]) == size
        self.queue(stream, lambda: ctypes.memmove(targets[target], sources[source], size))
        return (Code.success,)

    def cudaStreamBeginCapture(self, stream, mode):
        assert self.handles[stream] == "stream" and mode == "thread" and self.capturing is None
        self.capturing = []
        return (Code.success,)

    def cudaStreamEndCapture(self, stream):
        assert self.handles[stream] == "stream" and self.capturing is not None
        work, self.capturing = self.capturing, None
        failure = self.failures.get("cudaStreamEndCapture")
        return (failure, None) if failure else (Code.success, self._handle(work))

    def cudaGraphInstantiateWithFlags(self, graph, flags):
        assert flags == 0
        return Code.success, self._handle(self.handles[graph])

    def cudaGraphLaunch(self, graph, stream):
        assert self.handles[stream] == "stream" and len(self.handles[graph]) == 3
        for work in self.handles[graph]:
            work()
        return (Code.success,)

    def cudaGraphDestroy(self, graph):
        assert isinstance(self.handles.pop(graph), list)
        return (Code.success,)

    cudaGraphExecDestroy = cudaGraphDestroy

    def queue(self, stream, work):
        assert self.handles[stream] == "stream"
        if self.capturing is None:
            work()
        else:
            self.capturing.append(work)

    def _keep(self, memory, size):
        block = (ctypes.c_char * size)()
        memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def _handle(self, kind):
        handle = 1000 + len(self.calls)
        self.handles[handle] = kind
        return handle


class _Tensor:
    def __init__(self, name, kind="float32"):
        self.name, self.shape, self.dtype = name, (1, 1, -1, -1), kind


class StandInTensorRt:
    """``tensorrt``; a plan is the text of the shape it was built for.

    Attributes:
        refused: plans that the runtime refuses.
        context_bytes: memory that a context takes.
    """

    float32 = "float32"

    def __init__(
        self,
        cuda,
        name="tensorrt",
        version="10.3.0",
        creation=("EXPLICIT_BATCH", "STRONGLY_TYPED"),
        flags=("FP16", "BF16", "INT8", "TF32"),
    ):
        self.__name__ = name
        self.__version__ = version
        self.kernels = []
        self.cuda = cuda
        self.refused = set()
        self.context_bytes = 1 << 20
        self.builds = []
        self.timings = []
        self.configs = []
        self.networks = []
        self.parser_error = None
        self.fails = ""
        self.NetworkDefinitionCreationFlag = enum.IntEnum("Creation", creation, start=0)
        self.BuilderFlag = enum.IntEnum("Flag", flags)

    ComputeCapability = SimpleNamespace(SM89="SM89")

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2)

    def Builder(self, logger):
        def create_network(bits):
            network = SimpleNamespace(bits=bits, num_inputs=1, num_outputs=1)
            image, logits = _Tensor("image"), _Tensor("logits")
            network.get_input, network.get_output = [image].__getitem__, [logits].__getitem__
            self.networks.append(network)
            return network

        def timing_cache(known):
            return None if known == b"damaged" else SimpleNamespace(known=known)

        def create_builder_config():
            config = SimpleNamespace(flags={"TF32"})
            config.set_flag = lambda flag: config.flags.add(flag.name)
            config.clear_flag = lambda flag: config.flags.discard(flag.name)
            config.create_timing_cache = timing_cache
            config.set_timing_cache = lambda timings, ignore: self.timings.append(timings.known)
            config.get_timing_cache = lambda: SimpleNamespace(serialize=lambda: b"timings")
            config.set_compute_capability = lambda target, index: setattr(config, "target", target)
            self.configs.append(config)
            return config

        def build_serialized_network(network, config):
            if self.fails:
                logger.log(1, self.fails)
                return None
            plan = f"{network.get_input(0).shape} build {len(self.builds)}".encode()
            self.builds.append(plan)
            return plan

        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=create_builder_config,
            build_serialized_network=build_serialized_network,
        )

    def OnnxParser(self, network, logger):
        return SimpleNamespace(
            parse=lambda content: self.parser_error is None,
            num_errors=int(self.parser_error is not None),
            get_error=lambda index: self.parser_error,
        )

    def Runtime(self, logger):
        def deserialize_cuda_engine(plan):
            if plan in self.refused or b" build " not in plan:
                logger.log(1, "magic tag does not match")
                return None
            height, width = (int(side) for side in plan.split(b")")[0].split(b",")[2:])
            return _Engine(self, logger, {"image": (1, 1, height, width), "logits": (1, 1, height, width)})

        return SimpleNamespace(deserialize_cuda_engine=deserialize_cuda_engine)


class _Engine:
    def __init__(self, trt, logger, shapes):
        self.trt, self.logger, self.shapes = trt, logger, shapes
        self.device_memory_size = trt.context_bytes

    def get_tensor_shape(self, name):
        return self.shapes[name]

    def create_runtime_config(self):
        assert self.trt.__name__ == "tensorrt_rtx"
        compiled = SimpleNamespace(serialize=lambda: b"kernels", deserialize=self.trt.kernels.append)
        settings = SimpleNamespace(create_runtime_cache=lambda: compiled)
        settings.set_runtime_cache = lambda given: setattr(settings, "compiled", given)
        return settings

    def create_execution_context(self, settings=None):
        assert (self.trt.__name__ == "tensorrt_rtx") == hasattr(settings, "compiled")
        if self.device_memory_size > self.trt.cuda.free_bytes:
            self.logger.log(1, "OutOfMemory (no further information)")
            return None
        return _Context(self)


class _Context:
    def __init__(self, engine):
        self.engine, self.addresses = engine, {}

    def set_tensor_address(self, name, address):
        assert len(self.engine.trt.cuda.device[address]) == 4 * np.prod(self.engine.shapes[name])
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        cuda, logger = self.engine.trt.cuda, self.engine.logger
        if self.engine.trt.fails:
            logger.log(1, self.engine.trt.fails)
            return False
        source, target = (cuda.device[self.addresses[name]] for name in ("image", "logits"))

        def work():
            np.frombuffer(target, np.float32)[:] = 2 * np.frombuffer(source, np.float32)

        cuda.queue(stream, work)
        return True
