"""Backend ``onnxruntime``: any of its execution providers."""

from pathlib import Path
from typing import Any

import numpy as np

from dsad_core.engines.cache import cache_folder
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Manifest
from dsad_core.engines.platform import Platform, effective_precision
from dsad_core.engines.tensor import check_tensor
from dsad_core.errors import EngineError, PlatformError, UnsupportedModelError, one_line
from dsad_core.hardware import Finding, find_onnxruntime, onnxruntime_provider

onnxruntime = find_onnxruntime()

_OPTIMIZATION = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_CPU = "CPUExecutionProvider"
#: Pixels a side, at least, of the frame that a model is reckoned through before it runs.
PROBED = 64
#: Providers that build for each size of a frame, which takes seconds to minutes.
BUILDING = ("TensorrtExecutionProvider", "CANNExecutionProvider")
_HINTS = {
    "CUDAExecutionProvider": "pip install onnxruntime-gpu",
    "TensorrtExecutionProvider": "the onnxruntime-gpu wheel for JetPack",
    "CANNExecutionProvider": "pip install onnxruntime-cann 'numpy<2'",
}


def requirements(options: Platform) -> list[Finding]:
    """The platform's execution provider."""
    provider = options.onnxruntime.provider
    return [onnxruntime_provider(provider, _HINTS.get(provider, "pip install onnxruntime"))]


def open_engine(folder: Path, manifest: Manifest, options: Platform, threads: int) -> "OnnxRuntimeEngine":
    """See ``backends``."""
    if onnxruntime is None:
        raise PlatformError("onnxruntime is not installed")
    return OnnxRuntimeEngine(folder, manifest, options, threads)


class OnnxRuntimeEngine:
    """An engine folder loaded into an onnxruntime session; see ``protocol.Engine``.

    Args:
        folder: holds the verified ``model.onnx``.
        options: provider and session options.
        threads: threads inside one operator on the CPU.

    Raises:
        EngineError: the model is not what an engine must be.
        PlatformError: the provider is not in this onnxruntime, or did not really take the network.
        UnsupportedModelError: the engine is to compute in bfloat16.
    """

    def __init__(self, folder: Path, manifest: Manifest, options: Platform, threads: int):
        if effective_precision(manifest, options) == "bf16":
            raise UnsupportedModelError("onnxruntime has no bfloat16 mode")
        self.manifest = manifest
        self.platform = options.platform
        self.builds = options.onnxruntime.provider in BUILDING
        self._session = _open_session(folder / MODEL_FILE, options, threads, manifest.sha256)
        try:
            self._check_interface(folder / MODEL_FILE)
            if options.onnxruntime.provider == _CPU:  # others may take what a CPU does not
                self._check_answer(folder / MODEL_FILE)
        except UnicodeDecodeError:  # from onnxruntime, which loads such a model
            raise EngineError(f"{folder / MODEL_FILE}: holds names that are not UTF-8") from None
        self._binding = self._session.io_binding()
        self._logits = np.empty((1, 1, 0, 0), np.float32)
        provider = options.onnxruntime.provider
        self.description = f"onnxruntime {onnxruntime.__version__} {provider}"
        if provider == _CPU:
            self.description += f", {threads} thread{'s' if threads > 1 else ''}"

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        check_tensor(self.manifest, tensor)
        height, width = tensor.shape[2:]
        if self._logits.shape[2:] != (height, width):
            self._logits = np.empty((1, 1, height, width), np.float32)
        logits = self._logits
        # Bound buffers: otherwise each call allocates, faults in and copies a fresh output.
        self._binding.bind_input(INPUT_NAME, "cpu", 0, np.float32, tensor.shape, tensor.ctypes.data)
        self._binding.bind_output(OUTPUT_NAME, "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime's own errors share no other base
            raise EngineError(
                f"engine {self.manifest.name} failed on {width}x{height}: {one_line(error)}"
            ) from error
        return logits[0, 0]

    def close(self) -> None:
        self._binding = None
        self._session = None

    def _check_interface(self, model: Path) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [node.name for node in inputs] != [INPUT_NAME] or [node.name for node in outputs] != [OUTPUT_NAME]:
            raise EngineError(
                f"{model}: has inputs {[node.name for node in inputs]} and outputs "
                f"{[node.name for node in outputs]}, an engine has ['{INPUT_NAME}'] and "
                f"['{OUTPUT_NAME}']"
            )
        for node, channels in ((inputs[0], self.manifest.input_channels), (outputs[0], 1)):
            # A dimension that is free has a name or None in place of its size.
            fits = len(node.shape) == 4 and (not isinstance(node.shape[1], int) or node.shape[1] == channels)
            if node.type != "tensor(float)" or not fits:
                raise EngineError(
                    f"{model}: {node.name} is {node.type} {node.shape}, "
                    f"the manifest needs tensor(float) (1, {channels}, H, W)"
                )

    def _check_answer(self, model: Path) -> None:
        """A frame's logits have its size, by onnxruntime's own reckoning: a constant that pads or scales by too much
        would cost seconds and gigabytes before the wrong answer is seen."""
        free = self._session.get_inputs()[0].shape[2:]
        side = -(-PROBED // self.manifest.size_multiple) * self.manifest.size_multiple
        size = [length if isinstance(length, int) else side for length in free]
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4  # what it says comes as an exception too
        for name, length in zip(free, size):
            if isinstance(name, str):
                options.add_free_dimension_override_by_name(name, length)
        try:
            session = onnxruntime.InferenceSession(str(model), options, providers=[_CPU])
            answer = session.get_outputs()[0].shape[2:]
        except Exception as error:  # onnxruntime's own errors share no other base
            raise EngineError(f"{model}: takes no frame of {size[1]}x{size[0]}: {one_line(error)}") from error
        if any(isinstance(found, int) and found != length for found, length in zip(answer, size)):
            raise EngineError(
                f"{model}: answers a frame of {size[1]}x{size[0]} by {answer[1]}x{answer[0]} logits"
            )


def _open_session(model: Path, options: Platform, threads: int, sha256: str) -> Any:
    settings = options.onnxruntime
    if settings.provider not in onnxruntime.get_available_providers():
        raise PlatformError(
            f"target {options.platform} needs {settings.provider}, this onnxruntime "
            f"{onnxruntime.__version__} has only "
            f"{', '.join(onnxruntime.get_available_providers())}"
        )
    session_options = onnxruntime.SessionOptions()
    session_options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, _OPTIMIZATION[settings.graph_optimization]
    )
    session_options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    session_options.intra_op_num_threads = threads
    session_options.inter_op_num_threads = 1
    session_options.add_session_config_entry(
        "session.intra_op.allow_spinning", str(int(settings.allow_spinning))
    )
    if settings.provider != _CPU:
        # A node that the provider does not take is an error, never a quiet detour over the CPU.
        session_options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session_options.log_severity_level = 3  # errors; warnings of the optimiser are not the operator's
    provider_options = dict(settings.provider_options)
    for key, value in provider_options.items():
        if "{cache}" in value:
            provider_options[key] = value.replace("{cache}", str(cache_folder(sha256, options)))
    try:
        session = onnxruntime.InferenceSession(
            str(model), session_options, providers=[(settings.provider, provider_options)]
        )
    except Exception as error:  # onnxruntime's own errors share no other base
        raise EngineError(f"{model}: onnxruntime cannot load it: {one_line(error)}") from error
    # onnxruntime goes on with the CPU in silence where a provider fails to start.
    if session.get_providers()[0] != settings.provider:
        raise PlatformError(
            f"target {options.platform}: {settings.provider} did not start, onnxruntime fell "
            f"back to {session.get_providers()[0]}; `dsad doctor` says what is missing"
        )
    return session
