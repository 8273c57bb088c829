"""Counters over a set of frames: totals, undefined ratios and merging."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.errors import UsageError
from dsad_core.metrics import DetectionAccumulator, FrameCounts
from dsad_core.metrics import accumulator as module

counts = st.builds(
    FrameCounts,
    targets=st.integers(0, 9),
    hits=st.integers(0, 9),
    predictions=st.integers(0, 9),
    false_targets=st.integers(0, 9),
    false_pixels=st.integers(0, 99),
    intersection=st.integers(0, 50),
    union=st.integers(0, 50),
    pixels=st.just(1024),
)


def accumulated(frames) -> DetectionAccumulator:
    accumulator = DetectionAccumulator()
    for frame in frames:
        accumulator.add(frame)
    return accumulator


def as_exact(result) -> dict:
    # Sums of floats may differ in the last bit with their order; every other field is an integer or exact.
    return {**result.to_dict(), "niou": pytest.approx(result.niou) if result.niou is not None else None}


def test_two_frames_by_hand():
    truth = np.zeros((10, 10), np.uint8)
    truth[2:4, 2:4] = 255
    shifted, empty = np.roll(truth, 1, axis=1), np.zeros_like(truth)
    accumulator = DetectionAccumulator("nearest")
    accumulator.update(shifted, truth)
    accumulator.update(truth, truth)
    accumulator.update(truth, empty)
    accumulator.update(empty, empty)
    result = accumulator.result()
    assert (result.frames, result.targets, result.hits, result.predictions) == (4, 2, 2, 3)
    assert (result.false_targets, result.false_pixels, result.pixels) == (1, 4, 400)
    assert (result.pd, result.fa) == (1.0, 4 / 400)
    assert result.iou == (2 + 4) / (6 + 4 + 4)
    # The empty frame has no IoU; the false alarm alone has IoU 0.
    assert result.niou_frames == 3
    assert result.niou == pytest.approx((2 / 6 + 1 + 0) / 3)


def test_nothing_counted_is_undefined_not_zero():
    result = DetectionAccumulator().result()
    assert (result.frames, result.pd, result.fa, result.iou, result.niou) == (0, None, None, None, None)


def test_boxes_have_no_iou():
    accumulator = DetectionAccumulator("box")
    mask = np.zeros((10, 10), np.uint8)
    mask[3, 3] = 255
    accumulator.update(mask, boxes=np.array([[2, 2, 4, 4]]))
    result = accumulator.result()
    assert (result.pd, result.fa, result.iou, result.niou) == (1.0, 0.0, None, None)


@given(st.lists(counts, max_size=5), st.lists(counts, max_size=5), st.lists(counts, max_size=5))
def test_merging_is_associative_and_equals_one_pass(a, b, c):
    left = accumulated(a)
    left.merge(accumulated(b))
    left.merge(accumulated(c))
    tail = accumulated(b)
    tail.merge(accumulated(c))
    right = accumulated(a)
    right.merge(tail)
    together = accumulated([*a, *b, *c]).result().to_dict()
    assert together == as_exact(left.result())
    assert together == as_exact(right.result())


@given(st.lists(counts, max_size=5), st.lists(counts, max_size=5))
def test_merging_commutes(a, b):
    one, other = accumulated(a), accumulated(b)
    one.merge(accumulated(b))
    other.merge(accumulated(a))
    assert one.result().to_dict() == as_exact(other.result())


def test_a_refused_frame_counts_nothing():
    accumulator = DetectionAccumulator()
    with pytest.raises(UsageError):
        accumulator.update(np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8))
    assert accumulator.frames == 0


def test_truth_of_the_wrong_kind_is_refused():
    mask, boxes = np.zeros((4, 4), np.uint8), np.array([[0, 0, 1, 1]])
    with pytest.raises(UsageError, match="scores truth masks"):
        DetectionAccumulator("nearest").update(mask, boxes=boxes)
    with pytest.raises(UsageError, match="scores labelled boxes"):
        DetectionAccumulator("box").update(mask, mask)
    with pytest.raises(UsageError, match="has_masks=True"):
        DetectionAccumulator("box").add(FrameCounts(0, 0, 0, 0, 0, 0, 0, 16))
    with pytest.raises(UsageError, match="'dnanet' cannot be added to 'nearest'"):
        DetectionAccumulator("nearest").merge(DetectionAccumulator("dnanet"))
    with pytest.raises(UsageError, match="'best' is unknown"):
        DetectionAccumulator("best")


def test_docstring_example():
    assert doctest.testmod(module).failed == 0
