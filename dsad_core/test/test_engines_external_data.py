import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dsad_core.engines.external_data import external_files
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import MODEL_FILE, load_manifest, read_manifest, save_manifest
from dsad_core.errors import EngineError
from dsad_core.files import sha256_file


def weights(name: str = "w") -> TensorProto:
    return numpy_helper.from_array(np.ones((1, 1, 8, 8), np.float32), name)


def model(initializers=(), constant=None, branch=None) -> onnx.ModelProto:
    nodes = [helper.make_node("Identity", ["image"], ["logits"])]
    if constant is not None:
        nodes.append(helper.make_node("Constant", [], ["c"], value=constant))
    if branch is not None:
        nodes.append(helper.make_node("If", ["b"], ["i"], then_branch=branch, else_branch=branch))
    shape = [1, 1, "h", "w"]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name in ("image", "logits")]
    return helper.make_model(helper.make_graph(nodes, "g", *ends, initializer=list(initializers)))


def moved_out(tensor: TensorProto, location: str) -> TensorProto:
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    return tensor


def test_weights_inside_the_model_are_no_files():
    assert external_files(model([weights()], weights("c")).SerializeToString()) == []
    assert external_files((find_engine("local-contrast") / MODEL_FILE).read_bytes()) == []


def test_every_place_that_holds_tensors_is_looked_at():
    outside = moved_out(weights(), "w.bin")
    inner = helper.make_graph([], "inner", [], [], initializer=[moved_out(weights(), "deep.bin")])
    assert external_files(model([weights(), outside]).SerializeToString()) == ["w.bin"]
    assert external_files(model(constant=outside).SerializeToString()) == ["w.bin"]
    assert external_files(model(branch=inner).SerializeToString()) == ["deep.bin"]


@given(st.binary(max_size=200))
def test_bytes_that_are_no_model_are_left_to_the_runtime(content):
    assert isinstance(external_files(content), list)


def test_an_engine_with_weights_in_another_file_is_refused(engine_dir):
    path = engine_dir / MODEL_FILE
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (engine_dir / "w.bin").is_file()
    manifest = read_manifest(engine_dir).model_copy(update={"sha256": sha256_file(path)})
    save_manifest(engine_dir, manifest)
    with pytest.raises(EngineError, match="keeps weights in w.bin, which its SHA-256 does not cover"):
        load_manifest(engine_dir)
