"""What the maps of a network reach on real frames: the ranges that 8-bit integers need."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Manifest
from dsad_core.errors import EngineError, one_line


class CalibratingEngine:
    """An engine in float32 that keeps the largest value of each channel of some maps; see ``protocol.Engine``.

    Args:
        names: of the maps, as ``quantise.ranged_maps`` gives them.

    Attributes:
        ranges: (C,) by map, over all frames so far.

    Raises:
        EngineError: onnxruntime cannot load the model.
    """

    builds = False
    platform, backend, precision = "cpu", "onnxruntime", "fp32"
    passed_over: tuple[str, ...] = ()
    description = "onnxruntime, calibrating"

    def __init__(self, folder: Path, manifest: Manifest, names: list[str], threads: int = 1):
        self.manifest, self.folder = manifest, folder
        self._names = names
        self.ranges: dict[str, np.ndarray] = {}
        model = onnx.load(folder / MODEL_FILE)
        for name in names:
            # The largest values alone leave the runtime, not the maps.
            node = onnx.helper.make_node("ReduceMax", [name], [f"{name}/range"], axes=[0, 2, 3], keepdims=0)
            model.graph.node.append(node)
            value = onnx.helper.make_tensor_value_info(f"{name}/range", onnx.TensorProto.FLOAT, [None])
            model.graph.output.append(value)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own errors share no other base
            raise EngineError(f"{folder / MODEL_FILE}: cannot be calibrated ({one_line(error)})") from error

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        wanted = [OUTPUT_NAME, *(f"{name}/range" for name in self._names)]
        logits, *found = self._session.run(wanted, {INPUT_NAME: tensor})
        for name, most in zip(self._names, found):
            self.ranges[name] = np.maximum(self.ranges.get(name, 0), most)
        return logits[0, 0]

    def close(self) -> None:
        self._session = None
