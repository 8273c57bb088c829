"""The engine on its platform beside the reference, on the frames that are shipped."""

import numpy as np
import pytest

from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import list_engines
from dsad_core.engines.self_test import LIMITS, frames, frames_of, run_self_test
from dsad_core.errors import EngineError


@pytest.fixture
def opened():
    engine = load_engine("local-contrast", "cpu", threads=1, backend="onnxruntime")
    yield engine
    engine.close()


def test_four_small_frames_are_shipped_and_continued_by_mirror_images():
    assert [frame.shape for frame in frames()] == [(128, 160)] * 4
    for frame, large in zip(frames(), frames_of((300, 100))):
        np.testing.assert_array_equal(large[:128], frame[:, :100])
        np.testing.assert_array_equal(large[128:256], frame[::-1, :100])


@pytest.mark.parametrize("name", ["local-contrast", "dsad-num4-field"])
def test_the_kernels_of_this_machine_agree_with_onnxruntime(name):
    assert name in [folder.name for folder in list_engines()]
    engine = load_engine(name, "cpu", threads=1)
    result = run_self_test(engine)
    engine.close()
    assert result.passed
    if result.ran:
        assert result.frame_size == "160x128"
        assert result.mask_pixels > 0 and result.largest_logit_difference < 1e-2 * result.logit_span


def spoil(engine, change):
    """Let the engine answer ``change(logits)``."""
    infer = engine.infer
    engine.infer = lambda tensor: change(infer(tensor).copy())
    engine.backend = "other"  # else the reference would be its own kind, which proves nothing


def test_an_answer_beyond_the_limit_is_refused_with_figures(opened):
    spoil(opened, lambda logits: np.minimum(logits, 0))
    with pytest.raises(
        EngineError, match=r"self-test failed, \d+ of \d+ mask pixels differ from onnxruntime"
    ):
        run_self_test(opened)


def test_logits_alone_may_betray_it(opened):
    # Far from the threshold: the masks are the same.
    spoil(opened, lambda logits: np.where(logits < -3, 3 * logits, logits))
    with pytest.raises(EngineError, match="self-test failed, 0 of"):
        run_self_test(opened)


def test_what_reduced_precision_costs_is_within_its_limits(opened):
    spoil(opened, lambda logits: logits.astype(np.float16).astype(np.float32))
    opened.precision = "fp16"
    result = run_self_test(opened)
    assert result.ran and result.passed and "limits in fp16" in result.text
    assert set(LIMITS) == {"fp32", "fp16", "bf16", "int8"}


def test_an_answer_that_is_not_finite_fails(opened):
    spoil(opened, lambda logits: logits * np.float32("nan"))
    with pytest.raises(EngineError, match="NaN or infinite"):
        run_self_test(opened)
