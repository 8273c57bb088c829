"""Counts of single frames: cases done by hand, a slow oracle, and the properties a metric must have."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dsad_core.components import find_components
from dsad_core.errors import UsageError
from dsad_core.metrics.counts import (
    FrameCounts,
    count_boxes,
    count_masks,
    match_boxes,
    match_nearest,
    match_raster,
)

masks = arrays(np.bool_, (11, 13), elements=st.booleans()).flatmap(
    # Thinned out, or nearly every random mask is one component.
    lambda mask: arrays(np.bool_, (11, 13), elements=st.booleans()).map(lambda other: mask & other)
)
points = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=6).map(
    lambda rows: np.array(rows, float).reshape(-1, 2) / 2
)


def mask_of(*blobs, shape=(32, 32)) -> np.ndarray:
    """A mask with a filled rectangle for each (x, y, width, height)."""
    mask = np.zeros(shape, np.uint8)
    for x, y, width, height in blobs:
        mask[y : y + height, x : x + width] = 255
    return mask


def flood_fill(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """8-connected components as pixel lists (y, x), in raster order of the first pixel: the oracle."""
    left, found = set(zip(*np.nonzero(mask), strict=True)), []
    for pixel in sorted(left):
        if pixel not in left:
            continue
        left.remove(pixel)
        component, front = [pixel], [pixel]
        while front:
            y, x = front.pop()
            for step in product((-1, 0, 1), repeat=2):
                neighbour = (y + step[0], x + step[1])
                if neighbour in left:
                    left.remove(neighbour)
                    component.append(neighbour)
                    front.append(neighbour)
        found.append(component)
    return found


def greedy(truth, predicted, allowed, distance) -> list[tuple[int, int]]:
    """Nearest first and one to one, by looking at every pair again after each match: the oracle."""
    pairs = []
    while True:
        free = [
            (distance(t, p), i, j)
            for i, t in enumerate(truth)
            for j, p in enumerate(predicted)
            if allowed(t, p) and i not in [a for a, _ in pairs] and j not in [b for _, b in pairs]
        ]
        if not free:
            return pairs
        _, i, j = min(free)
        pairs.append((i, j))


def squared(a, b) -> float:
    return float((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)


class TestComponents:
    def test_diagonal_pixels_are_one_component(self):
        mask = np.eye(3, dtype=np.uint8)
        components = find_components(mask)
        assert components.areas.tolist() == [3]
        assert components.centroids.tolist() == [[1.0, 1.0]]
        assert components.boxes.tolist() == [[0, 0, 3, 3]]

    def test_order_is_raster_order_of_the_first_pixel(self):
        # The lower left one comes first for a labeller that walks 2x2 blocks.
        mask = np.zeros((4, 8), np.uint8)
        mask[1, 0] = mask[0, 5] = 255
        assert find_components(mask).centroids.tolist() == [[5.0, 0.0], [0.0, 1.0]]

    def test_frame_without_a_target(self):
        assert len(find_components(np.zeros((5, 4), np.uint8))) == 0

    @given(masks)
    def test_equals_flood_fill(self, mask):
        components, expected = find_components(mask), flood_fill(mask)
        assert components.areas.tolist() == [len(pixels) for pixels in expected]
        for index, pixels in enumerate(expected):
            y, x = np.transpose(pixels)
            assert components.centroids[index] == pytest.approx([x.mean(), y.mean()])
            assert components.boxes[index].tolist() == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]


class TestMatching:
    def test_three_pixels_apart_is_no_match(self):
        truth = mask_of((10, 10, 1, 1))
        assert count_masks(mask_of((13, 10, 1, 1)), truth).hits == 0
        assert count_masks(mask_of((12, 12, 1, 1)), truth).hits == 1

    def test_three_pixels_apart_is_no_match_for_fractional_centroids(self):
        # Centroids at thirds, where 3 px comes out as 2.9999999999999996 in some places of a frame.
        corner = np.array([[1, 1], [1, 0]], bool)
        for x in range(20):
            truth, predicted = np.zeros((2, 30), np.uint8), np.zeros((2, 30), np.uint8)
            truth[:, x : x + 2][corner] = 255
            predicted[:, x + 3 : x + 5][corner] = 255
            assert count_masks(predicted, truth).hits == 0

    def test_pd_half_by_raster_order_and_one_by_nearest(self):
        # The first prediction, in raster order, is within reach of both targets, the second of one only.
        truth = mask_of((10, 10, 1, 1), (14, 10, 1, 1))
        predicted = mask_of((12, 9, 1, 1), (9, 10, 1, 1))
        assert count_masks(predicted, truth, "dnanet").hits == 1
        assert count_masks(predicted, truth, "nearest").hits == 2

    def test_one_prediction_answers_for_one_target(self):
        counts = count_masks(mask_of((11, 10, 1, 1)), mask_of((10, 10, 1, 1), (12, 10, 1, 1)))
        assert (counts.targets, counts.hits, counts.missed_targets) == (2, 1, 1)

    def test_equal_distances_go_to_the_lower_index(self):
        assert match_nearest(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[1.0, 0.0]])) == [(0, 0)]
        assert match_nearest(np.array([[1.0, 0.0]]), np.array([[0.0, 0.0], [2.0, 0.0]])) == [(0, 0)]

    @given(points, points)
    def test_nearest_equals_the_oracle(self, truth, predicted):
        expected = greedy(truth, predicted, lambda t, p: squared(t, p) < 9, squared)
        assert match_nearest(truth, predicted) == expected

    @given(points, points)
    def test_raster_equals_the_published_loop(self, truth, predicted):
        left, expected = list(range(len(predicted))), []
        for i, target in enumerate(truth):
            for j in left:
                if squared(target, predicted[j]) < 9:
                    expected.append((i, j))
                    left.remove(j)
                    break
        assert match_raster(truth, predicted) == expected

    @given(st.lists(st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(1, 5)] * 2), max_size=5), points)
    def test_boxes_equal_the_oracle(self, boxes, predicted):
        boxes = np.array(boxes, float).reshape(-1, 4)
        expected = greedy(
            boxes,
            predicted,
            lambda b, p: all(b[k] - 0.5 <= p[k] < b[k] + b[k + 2] - 0.5 for k in (0, 1)),
            lambda b, p: squared(b[:2] + (b[2:] - 1) / 2, p),
        )
        assert match_boxes(boxes, predicted) == expected


class TestCountMasks:
    def test_by_hand(self):
        # One target hit by a shifted prediction, one missed, one false alarm of 6 pixels.
        truth = mask_of((4, 4, 2, 2), (20, 20, 3, 3))
        predicted = mask_of((5, 4, 2, 2), (28, 2, 3, 2))
        assert count_masks(predicted, truth) == FrameCounts(
            targets=2, hits=1, predictions=2, false_targets=1, false_pixels=6,
            intersection=2, union=2 * 2 + 9 + 2 * 2 + 6 - 2, pixels=1024,
        )  # fmt: skip

    @pytest.mark.parametrize("matching", ["nearest", "dnanet"])
    def test_false_alarm_of_a_matched_area_counts(self, matching):
        # The published scripts remove false alarms by area: this one would vanish with its matched twin.
        counts = count_masks(mask_of((4, 4, 2, 2), (20, 20, 2, 2)), mask_of((4, 4, 2, 2)), matching)
        assert (counts.hits, counts.false_targets, counts.false_pixels) == (1, 1, 4)

    def test_frames_without_targets(self):
        empty = np.zeros((8, 8), np.uint8)
        counts = count_masks(empty, empty)
        assert counts == FrameCounts(0, 0, 0, 0, 0, 0, 0, 64)
        assert counts.iou is None

    @pytest.mark.parametrize("value", [1, 2, 4, 255])
    def test_any_non_zero_value_is_a_target(self, value):
        truth = mask_of((4, 4, 9, 9))
        predicted = (truth != 0).astype(np.uint8) * np.uint8(value)
        assert count_masks(predicted, truth) == count_masks(truth, truth) == count_masks(truth != 0, truth)

    def test_views_and_read_only_masks_are_taken(self):
        big = np.zeros((64, 64), np.uint8)
        big[10:14, 10:14] = 255
        view = big[::2, ::2]
        view.flags.writeable = False
        assert count_masks(view, view).intersection == 4

    @given(masks, masks, st.sampled_from(["nearest", "dnanet"]))
    def test_components_count_as_their_mask_does(self, predicted, truth, matching):
        found, labelled = find_components(predicted), find_components(truth)
        counts = count_masks(predicted, truth, matching)
        assert count_masks(found, labelled, matching) == counts
        assert count_masks(found, truth, matching) == count_masks(predicted, labelled, matching) == counts
        assert count_boxes(found, labelled.boxes) == count_boxes(predicted, labelled.boxes)

    @given(masks, masks)
    def test_sums_hold(self, predicted, truth):
        counts = count_masks(predicted, truth)
        assert counts.intersection == np.sum(predicted & truth)
        assert counts.union == np.sum(predicted | truth)
        assert counts.targets == len(flood_fill(truth))
        assert counts.predictions == counts.hits + counts.false_targets
        assert counts.hits <= counts.targets
        assert counts.hits >= count_masks(predicted, truth, "dnanet").hits / 2

    @given(masks, masks, st.integers(0, 9), st.integers(0, 9), st.sampled_from(["nearest", "dnanet"]))
    def test_moving_both_masks_changes_nothing(self, predicted, truth, dx, dy, matching):
        def moved(mask, x, y):
            return np.pad(mask, ((y, 9 - y), (x, 9 - x)))

        assert count_masks(moved(predicted, dx, dy), moved(truth, dx, dy), matching) == count_masks(
            moved(predicted, 0, 0), moved(truth, 0, 0), matching
        )

    @given(masks, masks)
    def test_swapping_prediction_and_truth_keeps_the_overlap(self, a, b):
        one, other = count_masks(a, b), count_masks(b, a)
        assert (one.intersection, one.union) == (other.intersection, other.union)
        assert (one.targets, one.predictions) == (other.predictions, other.targets)

    @given(masks)
    @settings(max_examples=30)
    def test_a_perfect_prediction(self, truth):
        counts = count_masks(truth, truth)
        assert (counts.hits, counts.false_pixels, counts.intersection) == (counts.targets, 0, counts.union)

    @pytest.mark.parametrize(
        ("predicted", "truth", "matching", "says"),
        [
            (np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8), "nearest", "5x4"),
            (
                np.zeros((4, 4), np.float32),
                np.zeros((4, 4), np.uint8),
                "nearest",
                "predicted has dtype float32",
            ),
            (
                np.zeros((4, 4), np.uint8),
                np.zeros((4, 4, 1), np.uint8),
                "nearest",
                r"truth has shape \(4, 4, 1\)",
            ),
            (np.zeros((0, 4), np.uint8), np.zeros((0, 4), np.uint8), "nearest", "predicted has shape"),
            (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), "best", "'best'"),
            (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), "box", "'box'"),
        ],
    )
    def test_bad_arguments_are_named(self, predicted, truth, matching, says):
        with pytest.raises(UsageError, match=says):
            count_masks(predicted, truth, matching)


class TestCountBoxes:
    def test_by_hand(self):
        # A hit, a second prediction in the same box (false), a false alarm elsewhere, a box without answer.
        predicted = mask_of((5, 5, 2, 2), (8, 8, 1, 1), (25, 25, 3, 1))
        counts = count_boxes(predicted, np.array([[4, 4, 6, 6], [14, 14, 4, 4]], np.float32))
        assert counts == FrameCounts(
            targets=2, hits=1, predictions=3, false_targets=2, false_pixels=4,
            intersection=0, union=0, pixels=1024, has_masks=False,
        )  # fmt: skip
        assert counts.iou is None

    def test_box_edges(self):
        box = np.array([[10.0, 10.0, 3.0, 3.0]])
        for x, hits in ((9, 0), (10, 1), (12, 1), (13, 0)):
            assert count_boxes(mask_of((x, 11, 1, 1)), box).hits == hits

    def test_labelled_frame_without_a_target(self):
        counts = count_boxes(mask_of((3, 3, 2, 2)), np.empty((0, 4), np.float32))
        assert (counts.targets, counts.false_targets, counts.false_pixels) == (0, 1, 4)

    @pytest.mark.parametrize(
        ("boxes", "says"),
        [
            (np.zeros((2, 3)), r"\(2, 3\)"),
            (np.array([[1, 1, 0, 4]]), r"box \[1, 1, 0, 4\]"),
            (np.array([[1.0, np.nan, 2.0, 2.0]]), "nan"),
        ],
    )
    def test_bad_boxes_are_named(self, boxes, says):
        with pytest.raises(UsageError, match=says):
            count_boxes(np.zeros((8, 8), np.uint8), boxes)
