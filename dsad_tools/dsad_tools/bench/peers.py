"""Runtimes of others that a user could choose instead: OpenVINO at its own defaults, MNN and ncnn."""

import tempfile
from pathlib import Path

import numpy as np

from dsad_core.engines import openvino
from dsad_core.engines.backends import describe_missing
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE
from dsad_core.engines.platform import load_platform
from dsad_core.errors import EngineError, NotInstalledError, PlatformError, one_line
from dsad_core.hardware import python_module
from dsad_tools.bench.models import Model
from dsad_tools.bench.peer_ncnn import Ncnn
from dsad_tools.bench.turn import Contender


def open_openvino_bf16(model: Model, platform: str, threads: int, size: tuple[int, int]) -> Contender:
    """OpenVINO in bfloat16, its default on a CPU that has it, from the same float32 model.

    Raises:
        PlatformError: it is not installed, runs on no such platform, or this CPU lacks bfloat16.
    """
    _require_cpu(platform, "OpenVINO")
    options = load_platform(platform).model_copy(update={"precision": "bf16"})
    if missing := describe_missing(openvino.requirements(options)):
        raise NotInstalledError(missing)
    return openvino.open_engine(model.engine, model.manifest, options, threads)


def open_mnn(model: Model, platform: str, threads: int, size: tuple[int, int]) -> Contender:
    """MNN in float32, from the same model, converted for one size of frame.

    Raises:
        PlatformError: it is not installed, or runs on no such platform.
        EngineError: it cannot convert the model.
    """
    _require_cpu(platform, "MNN")
    if missing := describe_missing([python_module("MNN", "pip install MNN")]):
        raise NotInstalledError(missing)
    return Mnn(model, threads, size)


def open_ncnn(model: Model, platform: str, threads: int, size: tuple[int, int]) -> Contender:
    """ncnn in float32, from the same model, converted for one size of frame.

    Raises:
        PlatformError: it is not installed, or runs on no such platform.
        EngineError: it cannot take the model.
    """
    _require_cpu(platform, "ncnn")
    needs = [python_module(name, "pip install ncnn pnnx") for name in ("ncnn", "pnnx")]
    if missing := describe_missing(needs):
        raise NotInstalledError(missing)
    return Ncnn(model, threads, size)


class Mnn:
    """A session of MNN for one size of frame; see ``Contender``.

    Args:
        size: (height, width), padded.
    """

    def __init__(self, model: Model, threads: int, size: tuple[int, int]):
        # Its command mnnconvert would report the conversion to its makers; the function beneath does not.
        import _tools
        import MNN

        self.manifest, self.description = model.manifest, f"MNN {MNN.version()} f32"
        self._mnn, self._shape = MNN, (1, model.manifest.input_channels, *size)
        try:
            with tempfile.TemporaryDirectory(prefix="dsad-mnn-") as folder:
                path = Path(folder, "model.mnn")
                source = str(model.engine / MODEL_FILE)
                words = ["-f", "ONNX", "--modelFile", source, "--MNNModel", str(path), "--bizCode", "dsad"]
                _tools.mnnconvert(["mnnconvert", *words])
                self._interpreter = MNN.Interpreter(str(path))
            self._session = self._interpreter.createSession({"numThread": threads, "precision": "high"})
            self._image = self._interpreter.getSessionInput(self._session, INPUT_NAME)
            self._interpreter.resizeTensor(self._image, self._shape)
            self._interpreter.resizeSession(self._session)
        except Exception as error:  # its errors share no other base
            raise EngineError(f"MNN cannot take the model: {one_line(error)}") from error

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        self._image.copyFrom(self._tensor(tensor))
        self._interpreter.runSession(self._session)
        found = self._interpreter.getSessionOutput(self._session)
        logits = self._tensor(np.empty((1, 1, *self._shape[2:]), np.float32))
        found.copyToHostTensor(logits)
        return np.array(logits.getNumpyData())[0, 0]

    def close(self) -> None:
        self._session = self._interpreter = self._image = None

    def _tensor(self, array: np.ndarray):
        mnn = self._mnn
        return mnn.Tensor(array.shape, mnn.Halide_Type_Float, array, mnn.Tensor_DimensionType_Caffe)


def _require_cpu(platform: str, name: str) -> None:
    if platform != "cpu":
        raise PlatformError(f"{name} is held against target cpu alone")
