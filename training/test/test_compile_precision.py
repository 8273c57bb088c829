"""Reduced precision keeps the graph's interface, stays near it, and sees only the scenes it is given."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from dsad_training.compile.deployable import deployable
from dsad_training.compile.graph import to_onnx
from dsad_training.compile.precision import to_fp16, to_int8
from dsad_training.compile.scenes import Scene
from dsad_training.networks.amfunet import AMFUNet
from dsad_training.networks.dmfnet import DMFNet


@pytest.fixture(scope="module", params=[(AMFUNet, "dsa"), (DMFNet, "none")], ids=["amfu-dsa", "dmf"])
def model(request):
    torch.manual_seed(4)
    build, spatial = request.param
    network = build(4, spatial).train()
    with torch.no_grad():
        network(torch.randn(4, 1, 32, 32))
    return to_onnx(deployable(network.eval()), network.size_multiple)


@pytest.fixture(scope="module")
def scenes():
    random = np.random.default_rng(3)
    tensors = random.normal(0, 1, (4, 1, 1, 48, 64)).astype(np.float32)
    return [Scene(tensor, np.zeros((48, 64), np.uint8)) for tensor in tensors]


def run(model, tensor):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [(node.name, node.type) for node in (*session.get_inputs(), *session.get_outputs())] == [
        ("image", "tensor(float)"), ("logits", "tensor(float)")]  # fmt: skip
    return session.run(None, {"image": tensor})[0]


def relative_error(model, reduced, scenes):
    expected, found = (np.stack([run(m, scene.tensor) for scene in scenes]) for m in (model, reduced))
    return float(np.abs(found - expected).mean() / expected.std())


def standard(model):
    return {entry.domain for entry in model.opset_import} == {""} and not model.metadata_props


def test_fp16_computes_in_float16(model, scenes):
    before = model.SerializeToString(deterministic=True)
    reduced = to_fp16(model)
    assert standard(reduced)
    onnx.checker.check_model(reduced, full_check=True)
    weights = [t for t in reduced.graph.initializer if len(t.dims) == 4]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.FLOAT16}
    assert 0 < relative_error(model, reduced, scenes) < 0.02
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    "target, kind", [("cpu", onnx.TensorProto.UINT8), ("agx", onnx.TensorProto.INT8)], ids=["cpu", "agx"]
)
def test_int8_quantises_what_convolutions_read(model, scenes, target, kind):
    before = model.SerializeToString(deterministic=True)
    reduced = to_int8(model, scenes, target)
    assert standard(reduced)
    kinds = Counter(node.op_type for node in reduced.graph.node)
    assert kinds["QuantizeLinear"] and kinds["DequantizeLinear"] > kinds["QuantizeLinear"]
    constants = {tensor.name: tensor for tensor in reduced.graph.initializer}
    offsets = [constants[node.input[2]] for node in reduced.graph.node if node.op_type == "QuantizeLinear"]
    assert {offset.data_type for offset in offsets} == {kind}
    if kind == onnx.TensorProto.INT8:  # the one form that TensorRT reads
        assert not any(onnx.numpy_helper.to_array(offset).any() for offset in offsets)
    made_by = {node.output[0]: node.op_type for node in reduced.graph.node}
    for node in reduced.graph.node:
        if node.op_type == "Conv" and node.output[0] != "logits":
            gate = "/channel/" in node.name or "/spatial/" in node.name
            whole = made_by.get(node.input[0]) == made_by.get(node.input[1]) == "DequantizeLinear"
            assert whole != (gate or "image" in node.input), node.name
    assert 0 < relative_error(model, reduced, scenes) < 0.3
    assert model.SerializeToString(deterministic=True) == before


def test_int8_is_the_same_for_the_same_scenes_alone(model, scenes):
    first, again, other = (
        to_int8(model, seen, "cpu").SerializeToString(deterministic=True)
        for seen in (scenes, scenes, scenes[:1])
    )
    assert first == again != other
