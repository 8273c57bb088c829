"""Joining by stamp: any order, lost and late parts, loops and stamps of 0."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.frame.timing import FrameTimes
from dsad_tools.metrics.joiner import FrameJoiner

SECOND = 10**9
START = 1_700_000_000 * SECOND
MASK = np.zeros((4, 4), np.uint8)
TIMING = FrameTimes(0, 0, 0, 0, 5, 5, 5)
VALUES = {"announced": None, "truth": MASK, "mask": MASK, "timing": TIMING}


def put(joiner, stamp, *parts, now=0):
    return [frame for part in parts for frame in joiner.put(stamp, part, VALUES[part], now)]


@given(st.permutations(["truth", "mask", "timing", "announced"]))
def test_any_order_gives_one_frame(order):
    joiner = FrameJoiner(SECOND)
    frames = put(joiner, START, *order)
    assert len(frames) == 1
    assert frames[0].mask is MASK and frames[0].truth is MASK and frames[0].timing is TIMING
    assert joiner.pending == 0
    assert joiner.drain() == []


@given(st.data(), st.integers(1, 6))
def test_interleaved_frames_are_each_joined_once(data, count):
    parts = [(n, part) for n in range(count) for part in ("truth", "mask", "timing")]
    joiner, frames = FrameJoiner(SECOND), []
    for n, part in data.draw(st.permutations(parts)):
        frames += put(joiner, START + n, part)
    assert sorted(frame.stamp_ns for frame in frames) == [START + n for n in range(count)]
    assert joiner.jumps == 0 and not joiner.late


def test_a_frame_without_answer_is_finished_after_the_timeout():
    joiner = FrameJoiner(SECOND)
    put(joiner, START, "announced", "truth", now=5)
    assert joiner.expire(SECOND + 4) == []
    (frame,) = joiner.expire(SECOND + 5)
    assert not frame.answered and frame.truth is MASK


def test_a_part_after_the_timeout_is_late_and_counted_once():
    joiner = FrameJoiner(SECOND)
    put(joiner, START, "announced", "truth")
    joiner.expire(2 * SECOND)
    assert put(joiner, START, "mask", "timing", now=2 * SECOND) == []
    assert joiner.late == {"mask": 1, "timing": 1}
    assert joiner.pending == 0


def test_without_truth_topics_mask_and_timing_are_enough():
    joiner = FrameJoiner(SECOND)
    assert put(joiner, START, "mask", "timing") == []
    joiner.truth_expected = False
    (frame,) = joiner.expire(1)
    assert frame.answered and frame.truth is None
    assert len(put(joiner, START + 1, "mask", "timing")) == 1


def test_a_mask_without_timing_is_answered():
    joiner = FrameJoiner(SECOND)
    put(joiner, START, "truth", "mask")
    (frame,) = joiner.expire(SECOND)
    assert frame.answered and frame.timing is None


def test_a_looping_bag_counts_every_pass_and_one_jump_for_each():
    joiner, frames = FrameJoiner(SECOND), []
    for _ in range(3):
        for n in range(5):
            frames += put(joiner, START + n * SECOND, "announced", "truth", "mask", "timing")
    assert len(frames) == 15
    assert joiner.jumps == 2


def test_a_frame_missed_in_one_pass_is_joined_in_the_next():
    joiner = FrameJoiner(SECOND)
    put(joiner, START, "announced", "truth")
    # The bag loops before the time is up: the first showing ends unanswered.
    (missed,) = put(joiner, START, "announced", now=1)
    assert not missed.answered
    (answered,) = put(joiner, START, "truth", "mask", "timing", now=2)
    assert answered.answered
    assert joiner.jumps == 1


def test_the_tail_of_a_pass_still_joins_behind_the_jump():
    joiner = FrameJoiner(SECOND)
    put(joiner, START, "announced", "truth", "mask", "timing")
    put(joiner, START + 9 * SECOND, "announced", "truth")
    put(joiner, START, "announced")
    (tail,) = put(joiner, START + 9 * SECOND, "mask", "timing")
    assert tail.answered
    # Shown again in the second pass, the tail is no further jump.
    put(joiner, START, "truth", "mask", "timing")
    put(joiner, START + 9 * SECOND, "announced", "truth", "mask", "timing")
    assert joiner.jumps == 1


def test_a_clock_set_back_is_a_jump_but_reordering_is_not():
    joiner = FrameJoiner(SECOND)
    put(joiner, START + SECOND // 2, "truth")
    put(joiner, START, "truth")
    assert joiner.jumps == 0
    put(joiner, START - SECOND, "truth")
    assert joiner.jumps == 1


def test_stamp_zero_is_timed_but_never_joined():
    joiner = FrameJoiner(SECOND)
    frames = [frame for _ in range(3) for frame in put(joiner, 0, "announced", "truth", "mask", "timing")]
    assert [frame.timing for frame in frames] == [TIMING] * 3
    assert all(frame.mask is None and frame.truth is None for frame in frames)
    assert joiner.unstamped == 3
    assert joiner.pending == 0 and joiner.jumps == 0


def test_memory_is_bounded():
    joiner = FrameJoiner(SECOND, max_pending=10, remembered=20)
    frames = [frame for n in range(1000) for frame in put(joiner, START + n, "announced")]
    assert len(frames) == 990 and joiner.pending == 10
    assert len(joiner._finished) <= 20
