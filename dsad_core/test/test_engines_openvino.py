import threading

import numpy as np
import pytest

from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import MODEL_FILE, read_manifest, save_manifest
from dsad_core.errors import EngineError, UnsupportedModelError
from dsad_core.files import sha256_file

pytest.importorskip("openvino", reason="needs the extra openvino (pip install openvino)")


def tensor(height, width, seed=0):
    return np.random.default_rng(seed).normal(size=(1, 1, height, width)).astype(np.float32)


@pytest.fixture(scope="module")
def pair():
    engines = [
        load_engine("dnanet-num4-nudt", threads=1, backend=name) for name in ("openvino", "onnxruntime")
    ]
    yield engines
    for engine in engines:
        engine.close()


def test_it_answers_as_onnxruntime_does_at_every_size(pair):
    ours, theirs = pair
    for size in ((64, 48), (96, 96), (64, 48)):
        frame = tensor(*size)
        # Far from a target the logits go beyond -100, where float32 leaves less than 1e-3.
        np.testing.assert_allclose(ours.infer(frame), theirs.infer(frame), rtol=1e-4, atol=1e-3)
    assert ours.description.startswith("openvino ") and ours.description.endswith("f32, 1 thread")


def test_it_answers_from_another_thread(pair):
    ours, _ = pair
    frame = tensor(64, 64)
    here = ours.infer(frame).copy()
    answers = []
    worker = threading.Thread(target=lambda: answers.append(ours.infer(frame).copy()))
    worker.start()
    worker.join(30)
    np.testing.assert_array_equal(answers[0], here)


def test_a_tensor_that_does_not_fit_is_refused(pair):
    with pytest.raises(EngineError, match="multiples of 16"):
        pair[0].infer(tensor(30, 48))


def test_a_precision_is_computed_in_or_refused(engine_dir):
    save_manifest(engine_dir, read_manifest(engine_dir).model_copy(update={"precision": "bf16"}))
    try:
        engine = load_engine(engine_dir, backend="openvino")
    except UnsupportedModelError as error:
        assert "on this CPU, not in bf16" in str(error)
    else:
        assert "CPU bf16" in engine.description
        engine.close()


def test_a_file_that_is_no_model_is_one_line(engine_dir):
    (engine_dir / MODEL_FILE).write_bytes(b"this is no network")
    digest = sha256_file(engine_dir / MODEL_FILE)
    save_manifest(engine_dir, read_manifest(engine_dir).model_copy(update={"sha256": digest}))
    with pytest.raises(EngineError, match="OpenVINO cannot read it") as caught:
        load_engine(engine_dir, backend="openvino")
    assert "\n" not in str(caught.value)
