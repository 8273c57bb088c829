import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsad_core.components import find_components
from dsad_core.targets import extract_targets


def logit(probability):
    probability = np.clip(probability, 1e-9, 1 - 1e-9)
    return np.log(probability / (1 - probability)).astype(np.float32)


def gaussian(height, width, x, y, sigma, amplitude=0.95):
    rows, columns = np.mgrid[:height, :width]
    return amplitude * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


def extract(probability, threshold=0.5):
    logits = logit(probability)
    return extract_targets(logits, find_components(logits > logit(threshold)))


def test_an_empty_mask_has_no_targets():
    assert extract(np.zeros((20, 30))) == []


@settings(max_examples=200)
@given(x=st.floats(8, 23), y=st.floats(8, 15), sigma=st.floats(0.7, 3.0))
def test_the_centroid_of_a_blurred_spot_is_found_within_a_tenth_of_a_pixel(x, y, sigma):
    probability = gaussian(24, 32, x, y, sigma, amplitude=0.98)
    if probability.max() <= 0.6:  # a spot that falls between pixels may not pass the threshold at all
        return
    (target,) = extract(probability)
    assert np.hypot(target.x - x, target.y - y) < 0.1


def test_pixel_centres_are_whole_numbers():
    probability = np.zeros((9, 9))
    probability[3, 5] = 0.9
    (target,) = extract(probability)
    assert (target.x, target.y) == pytest.approx((5, 3), abs=1e-4)
    assert (target.left, target.top, target.width, target.height, target.area) == (5, 3, 1, 1, 1)
    assert target.score == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("row, column", [(0, 0), (0, 8), (6, 0), (6, 8)])
def test_a_target_in_a_corner_of_the_frame(row, column):
    probability = np.zeros((7, 9))
    probability[row, column] = 0.8
    (target,) = extract(probability)
    assert (target.left, target.top) == (column, row)
    assert (target.x, target.y) == pytest.approx((column, row), abs=1e-4)


def test_a_frame_that_is_target_all_over_is_one_target_in_its_middle():
    (target,) = extract(np.full((5, 9), 0.7))
    assert (target.x, target.y, target.area) == (pytest.approx(4), pytest.approx(2), 45)


def test_diagonal_neighbours_are_one_target():
    assert len(extract(np.eye(6) * 0.9)) == 1


def test_near_neighbours_keep_their_own_centroids_and_scores():
    probability = np.maximum(gaussian(20, 30, 9.3, 10.0, 1.0), gaussian(20, 30, 15.1, 10.4, 1.0, 0.8))
    first, second = extract(probability)
    assert first.score > second.score
    assert np.hypot(first.x - 9.3, first.y - 10.0) < 0.15
    assert np.hypot(second.x - 15.1, second.y - 10.4) < 0.15


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.5))
def test_boxes_areas_and_order_agree_with_opencv(seed, density):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(24, 31)).astype(np.float32)
    mask = np.where(rng.random((24, 31)) < density, 255, 0).astype(np.uint8)
    targets = extract_targets(logits, find_components(mask))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    assert sorted((t.left, t.top, t.width, t.height, t.area) for t in targets) == sorted(
        tuple(row) for row in stats[1:].tolist()
    )
    scores = [target.score for target in targets]
    assert scores == sorted(scores, reverse=True)
    highest = [logits[labels == label].max() for label in range(1, count)]
    expected = sorted(1 / (1 + np.exp(-np.float64(highest))), reverse=True)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_extreme_logits_do_not_overflow():
    logits = np.full((8, 8), -1e30, np.float32)
    logits[4, 4] = 1e30
    with np.errstate(all="raise"):
        (target,) = extract_targets(logits, find_components(logits > 0))
    assert target.score == 1.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_the_best_of_too_many_are_those_of_the_whole_list(seed, limit):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(40, 50)).astype(np.float32)
    components = find_components(rng.random((40, 50)) < 0.05)
    assert extract_targets(logits, components, limit) == extract_targets(logits, components)[:limit]
