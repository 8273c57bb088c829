"""Backend ``openvino``: OpenVINO on the CPU, an optional extra for x86-64 (``pip install openvino``)."""

from pathlib import Path
from typing import Any

import numpy as np

from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Manifest
from dsad_core.engines.platform import Platform, effective_precision
from dsad_core.engines.sessions import Sessions
from dsad_core.engines.tensor import check_tensor
from dsad_core.errors import EngineError, UnsupportedModelError, one_line
from dsad_core.hardware import Finding, python_module

#: What OpenVINO computes in; a quantised model stays quantised under "f32".
_HINTS = {"fp32": "f32", "int8": "f32", "fp16": "f16", "bf16": "bf16"}


def requirements(options: Platform) -> list[Finding]:
    """OpenVINO itself."""
    return [python_module("openvino", "pip install openvino")]


def open_engine(folder: Path, manifest: Manifest, options: Platform, threads: int) -> "OpenVinoEngine":
    """See ``backends``."""
    return OpenVinoEngine(folder, manifest, options, threads)


class OpenVinoEngine:
    """An engine folder compiled by OpenVINO for each frame size, the last ones kept; see ``protocol.Engine``.

    Args:
        folder: holds the verified ``model.onnx``.
        options: the platform's precision is OpenVINO's inference precision.
        threads: threads of one inference.

    Raises:
        EngineError: OpenVINO cannot read the model, or it is not what an engine must be.
        UnsupportedModelError: this CPU does not compute in the engine's precision.
    """

    builds = False

    def __init__(self, folder: Path, manifest: Manifest, options: Platform, threads: int):
        import openvino

        self.manifest = manifest
        self.platform = options.platform
        self._path = folder / MODEL_FILE
        self._hint = _HINTS[effective_precision(manifest, options)]
        self._core = openvino.Core()
        self._tensor_type = openvino.Tensor
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": self._hint,
        }
        try:
            self._model = self._core.read_model(self._path)
        except Exception as error:  # OpenVINO raises plain RuntimeError
            raise EngineError(f"{self._path}: OpenVINO cannot read it: {one_line(error)}") from error
        self._check_interface()
        self._requests = Sessions(self._prepare)
        # The smallest frame there is: what cannot be compiled is refused now, not at the first frame.
        self._requests.get(manifest.size or (manifest.size_multiple, manifest.size_multiple))
        version = openvino.__version__.split("-")[0]
        self.description = (
            f"openvino {version} CPU {self._hint}, {threads} thread{'s' if threads > 1 else ''}"
        )

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        check_tensor(self.manifest, tensor)
        height, width = tensor.shape[2:]
        try:
            request, logits = self._requests.get((height, width))
            request.set_input_tensor(self._tensor_type(tensor, shared_memory=True))
            request.infer()
        except RuntimeError as error:
            raise EngineError(
                f"engine {self.manifest.name} failed on {width}x{height}: {one_line(error)}"
            ) from error
        return logits[0, 0]

    def close(self) -> None:
        self._requests.close()
        self._model = None
        self._core = None

    def _prepare(self, size: tuple[int, int]) -> tuple[Any, np.ndarray]:
        """Compile for this size: OpenVINO plans its memory and layouts better than for any size."""
        height, width = size
        if self.manifest.size is None:
            self._model.reshape([1, self.manifest.input_channels, height, width])
        compiled = self._core.compile_model(self._model, "CPU", self._settings)
        granted = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if granted != self._hint:
            raise UnsupportedModelError(f"OpenVINO computes in {granted} on this CPU, not in {self._hint}")
        request, logits = compiled.create_infer_request(), np.empty((1, 1, height, width), np.float32)
        request.set_output_tensor(self._tensor_type(logits, shared_memory=True))
        return request, logits

    def _check_interface(self) -> None:
        names = [[port.any_name for port in ports] for ports in (self._model.inputs, self._model.outputs)]
        if names != [[INPUT_NAME], [OUTPUT_NAME]]:
            raise EngineError(
                f"{self._path}: has inputs {names[0]} and outputs {names[1]}, an engine has "
                f"['{INPUT_NAME}'] and ['{OUTPUT_NAME}']"
            )
        image = self._model.inputs[0]
        shape, channels = image.partial_shape, self.manifest.input_channels
        fits = shape.rank.is_static and len(shape) == 4 and (shape[1].is_dynamic or shape[1] == channels)
        if image.element_type.get_type_name() != "f32" or not fits:
            raise EngineError(
                f"{self._path}: {INPUT_NAME} is {image.element_type} {shape}, "
                f"the manifest needs f32 (1, {channels}, H, W)"
            )
