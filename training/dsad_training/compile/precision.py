"""From a float32 graph to float16, and to 8-bit integers with scales calibrated on images."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import TopologicalSortPass
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from onnxruntime.transformers.float16 import convert_float_to_float16

from dsad_core.engines.manifest import INPUT_NAME, OUTPUT_NAME
from dsad_training.compile.graph import model_of
from dsad_training.compile.scenes import Scene

#: They sum squares over the image, which leaves float16's range.
KEPT_IN_FLOAT32 = ["InstanceNormalization"]


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights and arithmetic in float16, image and logits still float32."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    converted = ir.from_proto(
        convert_float_to_float16(copy, keep_io_types=True, op_block_list=KEPT_IN_FLOAT32)
    )
    # The library puts its casts last, parsers want them before what reads them.
    TopologicalSortPass()(converted)
    return model_of(ir.to_proto(converted).graph)


def to_int8(model: onnx.ModelProto, scenes: Iterable[Scene], target: str) -> onnx.ModelProto:
    """Convolutions on 8-bit integers, written as quantise/dequantise pairs around what they read.

    Weights have a scale for each output channel, each tensor that is read has one, from its range over the
    scenes; biases, sums and attention stay float32, and so do the convolutions that read the image or give
    the logits.

    Args:
        target: the CPU computes on unsigned numbers with an offset, which halve the steps of what comes out
            of a ReLU; accelerators read signed ones without.
    """
    signed = target != "cpu"
    with tempfile.TemporaryDirectory() as folder:
        original, quantised = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        # Given in memory the library would move the caller's weights to a file of its own.
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        add_pre_process_metadata(copy)
        onnx.save(copy, original)
        quantize_static(
            original,
            quantised,
            _Images(scenes),
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[node.name for node in model.graph.node if _stays_float(node)],
            per_channel=True,
            activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": signed,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": ["Conv"],
            },
        )
        return model_of(onnx.load(quantised).graph)


def _stays_float(node: onnx.NodeProto) -> bool:
    """Convolutions where rounding costs most masks for the least time."""
    ends = INPUT_NAME in node.input or OUTPUT_NAME in node.output
    return ends or "/channel/" in node.name or "/spatial/" in node.name


class _Images(CalibrationDataReader):
    def __init__(self, scenes: Iterable[Scene]):
        self._tensors = (scene.tensor for scene in scenes)

    def get_next(self) -> dict[str, np.ndarray] | None:
        tensor = next(self._tensors, None)
        return None if tensor is None else {INPUT_NAME: tensor}
