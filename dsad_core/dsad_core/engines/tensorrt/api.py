"""The modules ``tensorrt``, from 8.6 on, and ``tensorrt_rtx``: every difference between them is here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from dsad_core.engines.manifest import Precision
from dsad_core.errors import PlatformError, UnsupportedModelError, one_line

MODULES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
#: What a builder that chooses each layer's type is allowed to choose, beside float32.
_ALLOWED = {"fp32": (), "fp16": ("FP16",), "bf16": ("BF16",), "int8": ("INT8", "FP16")}


@dataclass(frozen=True)
class Typing:
    """Who decides what a layer computes in.

    Attributes:
        strong: the ONNX file does, for every tensor.
        flags: else these builder flags do.
    """

    strong: bool
    flags: tuple[str, ...] = ()


class Api:
    """One of the modules, and how it is used.

    Attributes:
        trt: the module.
        name: "TensorRT 10.3.0" or "TensorRT-RTX 1.7.1.116".
        rtx: plans are compiled for a GPU architecture without the GPU, kernels at the first run.
        messages: errors that it logged since ``messages.clear()``.
    """

    def __init__(self, trt: ModuleType):
        self.trt = trt
        self.rtx = trt.__name__ == "tensorrt_rtx"
        self.name = f"{MODULES[trt.__name__]} {trt.__version__}"
        self.messages: list[str] = []
        self.logger = _logger(trt, self.messages)

    def typing(self, manifest_precision: Precision, effective: Precision) -> Typing:
        """How a model of the manifest's precision is made to compute in the effective one.

        Raises:
            UnsupportedModelError: a float32 model would have to be computed in less, and this runtime
                computes a model in its own types alone.
        """
        # With no flag to choose from, RTX and the newest TensorRT know strong typing alone.
        always_strong = not hasattr(self.trt.BuilderFlag, "FP16")
        can_be_strong = always_strong or hasattr(self.trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
        if manifest_precision in ("fp16", "int8") and can_be_strong:
            return Typing(strong=True)
        flags = _ALLOWED[effective]
        if all(hasattr(self.trt.BuilderFlag, flag) for flag in flags):
            return Typing(strong=always_strong, flags=flags)
        remedy = "; compile the weights with `dsad compile --precision fp16`" if effective == "fp16" else ""
        raise UnsupportedModelError(
            f"{self.name} computes a float32 model in float32, not in {effective}{remedy}"
        )

    def builder(self) -> Any:
        return self.trt.Builder(self.logger)

    def network(self, builder: Any, typing: Typing) -> Any:
        flags = self.trt.NetworkDefinitionCreationFlag
        bits = 0
        # Before 10 a network is of implicit batch unless it is asked not to be.
        if hasattr(flags, "EXPLICIT_BATCH"):
            bits |= 1 << int(flags.EXPLICIT_BATCH)
        if typing.strong and hasattr(flags, "STRONGLY_TYPED"):
            bits |= 1 << int(flags.STRONGLY_TYPED)
        return builder.create_network(bits)

    def config(self, builder: Any, typing: Typing, precision: Precision, capability: str) -> Any:
        """The builder's configuration.

        Args:
            capability: the GPU's compute capability, e.g. "8.9"; '' where there is no GPU.
        """
        trt, config = self.trt, builder.create_builder_config()
        for flag in typing.flags:
            config.set_flag(getattr(trt.BuilderFlag, flag))
        if precision == "fp32":
            # TF32 rounds the factors of a float32 product to 10 bits and is on unless it is cleared.
            config.clear_flag(trt.BuilderFlag.TF32)
        if self.rtx and capability:
            # Without this RTX builds for 8.0 and later; what it has no constant for is left to that.
            target = getattr(trt.ComputeCapability, "SM" + capability.replace(".", ""), None)
            if target is not None:
                config.num_compute_capabilities = 1
                config.set_compute_capability(target, 0)
        return config

    def has_timing_cache(self) -> bool:
        """RTX times nothing while it builds."""
        return not self.rtx

    def monitor(self, report: Callable[[str], None]) -> Any:
        """Something to set as ``config.progress_monitor``; None before TensorRT 10."""
        return _monitor(self.trt, report) if hasattr(self.trt, "IProgressMonitor") else None

    def parser_errors(self, parser: Any) -> str:
        """One line: which operator, of which node, and why."""
        told = []
        for index in range(parser.num_errors):
            error = parser.get_error(index)
            node = error.node_name() if hasattr(error, "node_name") else f"number {error.node()}"
            operator = error.node_operator() if hasattr(error, "node_operator") else ""
            where = f"operator {operator} of node {node}: " if operator else f"node {node}: " if node else ""
            told.append(where + " ".join(error.desc().split()))
        return "; ".join(dict.fromkeys(told)) or self.last_messages()

    def last_messages(self) -> str:
        """The errors it logged, in one line."""
        return "; ".join(dict.fromkeys(self.messages)) or "it gave no reason"

    def context_memory(self, engine: Any) -> int:
        """Bytes that an execution context takes on the device."""
        name = "device_memory_size_v2" if hasattr(engine, "device_memory_size_v2") else "device_memory_size"
        return getattr(engine, name)

    def context(self, engine: Any, kernels: bytes | None) -> tuple[Any | None, Callable[[], bytes] | None]:
        """An execution context, and where kernels are compiled at run time how to get them for keeping.

        Args:
            kernels: what that gave before; the runtime itself checks whether it fits.
        """
        if not self.rtx:
            return engine.create_execution_context(), None
        settings = engine.create_runtime_config()
        compiled = settings.create_runtime_cache()
        if kernels:
            compiled.deserialize(kernels)
        settings.set_runtime_cache(compiled)
        return engine.create_execution_context(settings), lambda: bytes(compiled.serialize())


def find_api() -> tuple[Api | None, str]:
    """The first of the modules that really works, and where there is none the reason, else ''."""
    reasons = []
    for name in MODULES:
        api, reason = _probe(name)
        if api is not None:
            return api, ""
        reasons.append(reason)
    return None, "; ".join(reasons)


def require_api() -> Api:
    """The module.

    Raises:
        PlatformError: neither works.
    """
    api, reason = find_api()
    if api is None:
        raise PlatformError(f"no TensorRT: {reason}")
    return api


@cache
def _probe(name: str) -> tuple[Api | None, str]:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        return None, f"{name}: not installed" if error.name == name else f"{name}: {error}"
    except Exception as error:  # a wheel without its libraries fails in ways of its own
        return None, f"{name}: {one_line(error)}"
    try:
        api = Api(module)
        if api.builder() is None:
            return None, f"{name}: no builder ({api.last_messages()})"
    except Exception as error:  # nor is a stub's behaviour known
        return None, f"{name}: not usable ({one_line(error)})"
    return api, ""


def _logger(trt: Any, errors: list[str]) -> Any:
    failures = (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)

    class Logger(trt.ILogger):
        """TensorRT says why it failed in its log alone."""

        def __init__(self):
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in failures:
                errors.append(" ".join(message.split()))

    return Logger()


def _monitor(trt: Any, report: Callable[[str], None]) -> Any:
    class Monitor(trt.IProgressMonitor):
        """Tells the phase; stops the build at its next step once ``cancelled`` is set."""

        def __init__(self):
            trt.IProgressMonitor.__init__(self)
            self.cancelled = False
            self._root, self._steps, self._done = "", 1, 0

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._root, self._steps, self._done = phase, steps, 0
            report(f"{self._root}, step {self._done + 1} of {self._steps}: {phase}")

        def phase_finish(self, phase: str) -> None:
            pass

        def step_complete(self, phase: str, step: int) -> bool:
            if phase == self._root:
                self._done = step + 1
            return not self.cancelled

    return Monitor()
