"""Tracks of a live run: joined, put in order, scored as offline, whatever comes late, twice or never."""

import random

import numpy as np
import pytest

from dsad_core.frame.timing import FrameTimes
from dsad_core.metrics.tracks import TrackAccumulator
from dsad_core.tracking import MotionState, Track, TrackState
from dsad_tools.metrics.joiner import FrameJoiner, FrameTracks, LabelledBoxes
from dsad_tools.metrics.live import LiveMetrics
from dsad_tools.metrics.record import RunFacts
from dsad_tools.report.tracks import render_tracks

SECOND = 10**9
START = 1_700_000_000 * SECOND
STEP = SECOND // 25
SIZE = (64, 80)
MASK = np.zeros(SIZE, np.uint8)


def track(number, x, y, state=TrackState.CONFIRMED):
    return Track(number, state, MotionState.MOVING, 1.0, 5, 0.0, x, y, 0, 0, np.eye(4), 0.9, x, y, 1, 1, None)


def story(n):
    """Frame ``n``: a target that a track follows from the third frame on, its id changing, and a false track."""
    boxes = np.array([[10.0 + n, 20.0, 5.0, 5.0]])
    tracks = [track(1 if n < 12 else 4, 12.0 + n, 22.0)] if n >= 3 else []
    if 5 <= n < 9:
        tracks.append(track(2, 60.0, 50.0))
    return boxes, np.array([7]), tracks


def parts(n, activated=1, stamp=None, follow=True):
    stamp = START + n * STEP if stamp is None else stamp
    boxes, ids, tracks = story(n)
    return [
        (stamp, "boxes", LabelledBoxes(boxes, SIZE, ids)),
        (stamp, "mask", MASK),
        *([(stamp, "follow", activated)] if follow else []),
        (stamp, "timing", FrameTimes(*range(n, n + 7))),
        (stamp, "tracks", FrameTracks(tracks, SIZE)),
    ]


def offline(frames):
    counts = TrackAccumulator()
    for n in frames:
        boxes, ids, tracks = story(n)
        counts.update(START + n * STEP, tracks, boxes, ids)
    counts.close()
    return counts.result()


def live():
    return LiveMetrics("nearest", window=10, join_timeout_ns=SECOND)


@pytest.mark.parametrize("seed", range(5))
def test_topics_that_overtake_each_other_count_as_offline(seed):
    metrics, rng = live(), random.Random(seed)
    frames = [parts(n) for n in range(20)]
    # ``follow`` and the timing are one message.
    topics = [[frame[index : index + 1 + (index == 2)] for frame in frames] for index in (0, 1, 2, 4)]
    messages = []
    while topics := [topic for topic in topics if topic]:
        messages += rng.choice(topics).pop(0)
    for stamp, part, value in messages:
        metrics.put(stamp, part, value, 0)
    metrics.drain()
    assert metrics.tracks() == offline(range(20))
    assert metrics.tracks().switches == 1 and metrics.tracks().false_tracks == 1


def test_figures_so_far_and_a_report_leave_the_sequence_open():
    metrics = live()
    for n in range(20):
        for stamp, part, value in parts(n):
            metrics.put(stamp, part, value, 0)
        if n in (4, 11):
            assert metrics.tracks() == offline(range(n + 1))
            run = metrics.run_record("half", RunFacts(source="made up"), [])
            assert run.tracks.result == offline(range(n + 1))
    assert metrics.tracks() == offline(range(20))
    run = metrics.run_record("whole", RunFacts(source="made up"), [])
    assert [each.name for each in run.tracks.sequences] == ["made up"]
    assert run.to_dict()["tracks"]["tracks"]["switches"] == 1
    assert "track 4" in render_tracks(run.tracks)


def test_a_frame_that_the_tracker_passed_over_is_counted_and_does_not_wait():
    joiner = FrameJoiner(SECOND)
    finished = [frame for part in parts(0)[:4] for frame in joiner.put(*part, now_ns=0)]
    assert not finished, "its tracks may still come"
    for part in parts(1):
        finished += joiner.put(*part, now_ns=0)
    finished += joiner.expire(0)
    assert [frame.tracks is None for frame in finished] == [False, True] and joiner.pending == 0
    metrics = live()
    for n in range(6):
        for stamp, part, value in parts(n)[: 4 if n == 4 else 5]:
            metrics.put(stamp, part, value, 0)
    metrics.expire(0)
    assert metrics.frames_without_tracks == 1
    assert metrics.tracks() == offline([0, 1, 2, 3, 5])


def test_without_tracking_nothing_is_awaited():
    joiner = FrameJoiner(SECOND)
    assert [frame for part in parts(0, follow=False)[:3] for frame in joiner.put(*part, now_ns=0)]


def test_a_detector_that_starts_again_and_a_bag_that_loops_begin_a_sequence():
    metrics = live()
    for turn, (activated, first) in enumerate([(1, 0), (2, 3), (2, 0)]):
        for n in range(first, first + 6):
            for stamp, part, value in parts(n, activated, START + n * STEP + (turn == 1) * 3 * STEP):
                metrics.put(stamp, part, value, 0)
    metrics.drain()
    run = metrics.run_record("three", RunFacts(), [])
    assert [each.frames for each in run.tracks.sequences] == [6, 6, 6]
    assert metrics.tracks().targets == 3 and metrics.tracks().switches == 0


def test_labels_of_another_size_are_refused():
    metrics = live()
    for stamp, part, value in parts(0):
        if part == "tracks":
            value = FrameTracks([], (1, 1))
        metrics.put(stamp, part, value, 0)
    assert "tracks of (1, 1)" in metrics.refusal
