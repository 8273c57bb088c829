"""Runtimes of others give the engine's answers, or say why they do not run."""

import importlib.util

import numpy as np
import onnx
import onnxruntime
import pytest

from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE
from dsad_core.errors import DsadError, EngineError, NotInstalledError, PlatformError
from dsad_core.machine import cpu_flags
from dsad_tools.bench.measure import scenes
from dsad_tools.bench.models import Model
from dsad_tools.bench.peer_ncnn import sums_as_means
from dsad_tools.bench.peers import open_mnn, open_ncnn, open_openvino_bf16
from dsad_tools.bench.runtimes import runtimes

MODEL = Model(find_engine("dnanet-num4-nudt"))
ARGUMENTS = MODEL, "cpu", 1, (64, 96)


def reference(tensor):
    engine = runtimes("cpu", ["onnxruntime"])[0].open(*ARGUMENTS)
    try:
        return engine.infer(tensor)
    finally:
        engine.close()


def test_openvino_in_bfloat16_is_close_where_the_cpu_has_it():
    pytest.importorskip("openvino")
    if not {"avx512_bf16", "amx_bf16", "bf16"} & cpu_flags():
        with pytest.raises(DsadError, match="OpenVINO computes in"):
            open_openvino_bf16(*ARGUMENTS)
        return
    tensor = next(scenes(MODEL.manifest, 64, 96))
    engine, want = open_openvino_bf16(*ARGUMENTS), reference(tensor)
    error = np.abs(engine.infer(tensor) - want).max() / np.abs(want).max()
    assert "bf16" in engine.description
    # Eight bits of mantissa: neither float32 nor something else.
    assert 1e-5 < error < 0.2
    engine.close()


@pytest.mark.parametrize("opener, needs", [(open_mnn, ["MNN"]), (open_ncnn, ["ncnn", "pnnx"])])
def test_the_others_give_the_masks_in_float32(opener, needs):
    for name in needs:
        pytest.importorskip(name)
    tensor = next(scenes(MODEL.manifest, 64, 96))
    engine, want = opener(*ARGUMENTS), reference(tensor)
    got = engine.infer(tensor)
    assert got.shape == want.shape and np.abs(got - want).max() < 1e-3 * np.abs(want).max()
    np.testing.assert_array_equal(got > 0, want > 0)
    engine.close()


def test_sums_become_means_that_give_the_same_numbers():
    shape = 1, MODEL.manifest.input_channels, 64, 96
    model = onnx.load(MODEL.engine / MODEL_FILE)
    assert any(node.op_type == "ReduceSum" for node in model.graph.node)
    changed = sums_as_means(model, shape)
    assert not any(node.op_type == "ReduceSum" for node in changed.graph.node)
    tensor = next(scenes(MODEL.manifest, 64, 96))
    session = onnxruntime.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    logits, want = session.run(None, {INPUT_NAME: tensor})[0][0, 0], reference(tensor)
    assert np.abs(logits - want).max() < 1e-4 * np.abs(want).max()


def test_a_sum_over_an_unknown_length_is_refused():
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("ReduceSum", ["image"], ["logits"], name="total")  # all axes, none named
    ends = [[value(name, onnx.TensorProto.FLOAT, [1, 1, 8, 8])] for name in ("image", "logits")]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "sum", *ends))
    with pytest.raises(EngineError, match="total: sums over axes of unknown length"):
        sums_as_means(model, (1, 1, 8, 8))


@pytest.mark.parametrize("opener, name", [(open_mnn, "MNN"), (open_ncnn, "ncnn")])
def test_what_is_not_installed_says_how_to_get_it(opener, name):
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(NotInstalledError, match=f"pip install {name}"):
        opener(*ARGUMENTS)


@pytest.mark.parametrize("opener", [open_mnn, open_ncnn, open_openvino_bf16])
def test_they_run_on_a_cpu_alone(opener):
    with pytest.raises(PlatformError, match="target cpu alone"):
        opener(MODEL, "cuda", 1, (64, 96))
