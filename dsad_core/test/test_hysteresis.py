import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dsad_core.detector import Detector
from dsad_core.hysteresis import find_targets, peaks_of

LOGITS = arrays(
    np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(-4, 4).map(float)
)
PROBABILITY = st.sampled_from([0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])


def logit(probability):
    return np.log(probability / (1 - probability))


@given(logits=LOGITS, threshold=PROBABILITY, outline=PROBABILITY)
def test_a_target_is_a_component_above_the_outline_with_a_pixel_above_the_threshold(
    logits, threshold, outline
):
    low, high = logit(min(outline, threshold)), logit(threshold)
    count, labels = cv2.connectedComponents((logits > low).astype(np.uint8), connectivity=8)
    expected = np.zeros(logits.shape, bool)
    for label in range(1, count):
        if logits[labels == label].max() > high:
            expected |= labels == label
    found = find_targets(logits, threshold, outline)
    np.testing.assert_array_equal(found.to_mask(), expected)
    assert (peaks_of(logits, found) > high).all()


@given(logits=LOGITS, threshold=PROBABILITY, outline=PROBABILITY)
def test_an_outline_loses_no_target_and_adds_none(logits, threshold, outline):
    plain, grown = find_targets(logits, threshold), find_targets(logits, threshold, outline)
    assert len(grown) <= len(plain)  # two cores may lie in one outline
    assert grown.to_mask()[plain.to_mask()].all()
    assert (len(grown) == 0) == (len(plain) == 0)


def test_the_detector_takes_the_outline_of_the_manifest_below_its_threshold(engine):
    blob = np.full((16, 16), -4.0, np.float32)
    blob[4, 4:8] = 0.5, 3.0, 0.5, -0.5
    blob[12, 12] = 1.0
    manifest = engine.manifest.model_copy(update={"threshold": 0.9, "outline": 0.5})

    class Answers:
        platform = "test"

        def infer(self, tensor):
            return blob

    Answers.manifest = manifest
    frame = np.zeros((16, 16), np.uint8)
    detector = Detector(Answers())
    assert detector.outline == 0.5
    assert np.argwhere(detector.detect(frame).mask).tolist() == [[4, 4], [4, 5], [4, 6]]
    (target,) = detector.detect(frame).targets
    assert (target.area, target.peak) == (3, pytest.approx(3.0))
    detector.threshold = 0.3
    assert detector.outline == 0.3 and np.count_nonzero(detector.detect(frame).mask) == 5
    Answers.manifest = manifest.model_copy(update={"outline": None})
    assert np.count_nonzero(Detector(Answers()).detect(frame).mask) == 1
