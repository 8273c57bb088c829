"""Engines run by onnxruntime, on any of its execution providers."""

from pathlib import Path

import numpy as np
import onnxruntime

from dsad_core.engines.cache import cache_folder
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, load_manifest
from dsad_core.engines.target_file import TargetFile
from dsad_core.errors import EngineError, TargetError
from dsad_core.machine import usable_cores

_OPTIMIZATION = {
    "disabled": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


class OnnxRuntimeEngine:
    """An engine folder loaded into an onnxruntime session; see ``protocol.Engine``.

    Args:
        folder: holds ``model.onnx`` and ``manifest.yaml``.
        options: provider and session options.
        threads: threads inside one operator; None for the target file's number, or if that is
            null for every physical core this process may use.

    Raises:
        EngineError: the folder's files are missing, disagree, or are not what an engine must be.
        TargetError: the provider is not in this onnxruntime, or did not really take the network.
    """

    def __init__(self, folder: str | Path, options: TargetFile, threads: int | None = None):
        folder = Path(folder)
        self.manifest = load_manifest(folder)
        self.target = options.target
        threads = threads or options.session.intra_op_threads or usable_cores()
        self._session = _open_session(folder / MODEL_FILE, options, threads, self.manifest.sha256)
        self._check_interface(folder / MODEL_FILE)
        self._binding = self._session.io_binding()
        self._logits = np.empty((1, 1, 0, 0), np.float32)
        self.description = f"onnxruntime {onnxruntime.__version__} {options.provider}"
        if options.target == "cpu":
            self.description += f", {threads} thread{'s' if threads > 1 else ''}"

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        self._check_tensor(tensor)
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
            raise EngineError(f"engine {self.manifest.name} failed on {width}x{height}: "
                              f"{_one_line(error)}") from error
        return logits[0, 0]

    def close(self) -> None:
        self._binding = None
        self._session = None

    def _check_tensor(self, tensor: np.ndarray) -> None:
        name, channels = self.manifest.name, self.manifest.input_channels
        multiple = self.manifest.size_multiple
        if (tensor.ndim != 4 or tensor.shape[:2] != (1, channels) or tensor.dtype != np.float32
                or not tensor.flags.c_contiguous):
            raise EngineError(f"engine {name} takes C-contiguous float32 (1, {channels}, H, W), "
                              f"not {tensor.dtype} {tensor.shape}")
        height, width = tensor.shape[2:]
        if height % multiple or width % multiple or not tensor.size:
            raise EngineError(f"engine {name} takes sides that are multiples of {multiple}, "
                              f"not {width}x{height}")

    def _check_interface(self, model: Path) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [node.name for node in inputs] != [INPUT_NAME] or [node.name for node in outputs] != [OUTPUT_NAME]:
            raise EngineError(f"{model}: has inputs {[node.name for node in inputs]} and outputs "
                              f"{[node.name for node in outputs]}, an engine has ['{INPUT_NAME}'] and "
                              f"['{OUTPUT_NAME}']")
        for node, channels in ((inputs[0], self.manifest.input_channels), (outputs[0], 1)):
            # A dimension that is free has a name or None in place of its size.
            fits = len(node.shape) == 4 and (not isinstance(node.shape[1], int) or node.shape[1] == channels)
            if node.type != "tensor(float)" or not fits:
                raise EngineError(f"{model}: {node.name} is {node.type} {node.shape}, "
                                  f"the manifest needs tensor(float) (1, {channels}, H, W)")


def _open_session(model: Path, options: TargetFile, threads: int,
                  sha256: str) -> onnxruntime.InferenceSession:
    if options.provider not in onnxruntime.get_available_providers():
        raise TargetError(f"target {options.target} needs {options.provider}, this onnxruntime "
                          f"{onnxruntime.__version__} has only "
                          f"{', '.join(onnxruntime.get_available_providers())}")
    session_options = onnxruntime.SessionOptions()
    session_options.graph_optimization_level = _OPTIMIZATION[options.session.graph_optimization]
    session_options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    session_options.intra_op_num_threads = threads
    session_options.inter_op_num_threads = 1
    session_options.add_session_config_entry("session.intra_op.allow_spinning",
                                             str(int(options.session.allow_spinning)))
    session_options.log_severity_level = 3  # errors; warnings of the optimiser are not the operator's
    provider_options = dict(options.provider_options)
    for key, value in provider_options.items():
        if "{cache}" in value:
            provider_options[key] = value.replace("{cache}", str(cache_folder(sha256, options)))
    try:
        session = onnxruntime.InferenceSession(str(model), session_options,
                                               providers=[(options.provider, provider_options)])
    except Exception as error:  # onnxruntime's own errors share no other base
        raise EngineError(f"{model}: onnxruntime cannot load it: {_one_line(error)}") from error
    # onnxruntime goes on with the CPU in silence where a provider fails to start.
    if session.get_providers()[0] != options.provider:
        raise TargetError(f"target {options.target}: {options.provider} did not start, onnxruntime fell "
                          f"back to {session.get_providers()[0]}; `dsad doctor` says what is missing")
    return session


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
