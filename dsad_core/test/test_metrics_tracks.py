"""The figures of tracks on stories short enough to count by hand."""

import numpy as np
import pytest

from dsad_core.errors import UsageError
from dsad_core.metrics.tracks import TrackAccumulator
from dsad_core.tracking import MotionState, Track, TrackState

TENTH = 100_000_000
BOX = np.array([[10.0, 10.0, 8.0, 8.0]])


def track(number, x, y, state=TrackState.CONFIRMED, motion=MotionState.UNKNOWN):
    return Track(number, state, motion, 1.0, 5, 0.0, x, y, 0, 0, np.eye(4), 0.9, x, y, 1, 1, None)


def test_a_story_with_a_switch_a_false_track_and_a_gap():
    counts = TrackAccumulator()
    on, off = (13.0, 13.0), (80.0, 80.0)
    counts.update(0 * TENTH, [track(1, *on, TrackState.TENTATIVE)], BOX, np.array([7]))
    counts.update(1 * TENTH, [track(1, *on)], BOX, np.array([7]))
    counts.update(2 * TENTH, [track(1, *on, TrackState.COASTING), track(2, *off)], BOX, np.array([7]))
    counts.update(3 * TENTH, [track(2, *off, motion=MotionState.MOVING)], None)  # nothing known: not counted
    counts.update(4 * TENTH, [track(3, *on), track(2, *off)], BOX, np.array([7]))
    counts.close()
    result = counts.result()
    assert (result.frames, result.points, result.covered, result.false_points) == (4, 4, 3, 2)
    assert (result.tracks, result.false_tracks, result.false_moving_tracks) == (3, 1, 0)
    assert (result.switches, result.targets, result.never) == (1, 1, 0)
    assert result.median_confirm_s == pytest.approx(0.1) and result.coverage == 0.75
    assert result.seconds == pytest.approx(0.3)
    assert result.false_a_minute == pytest.approx(1 / 0.3 * 60)


def test_a_pair_is_kept_though_another_track_comes_nearer():
    counts = TrackAccumulator()
    counts.update(0 * TENTH, [track(1, 11, 11)], BOX)
    counts.update(1 * TENTH, [track(2, 13.5, 13.5), track(1, 11, 11)], BOX)
    counts.close()
    assert (counts.result().switches, counts.result().false_points, counts.result().false_tracks) == (0, 1, 0)


def test_a_target_without_a_track_never_is_confirmed():
    counts = TrackAccumulator()
    counts.update(0 * TENTH, [], BOX)
    counts.update(1 * TENTH, [], np.empty((0, 4)))
    counts.close()
    result = counts.result()
    assert (result.never, result.median_confirm_s, result.coverage) == (1, None, 0.0)
    assert TrackAccumulator().result().coverage is None


def test_merged_counts_equal_one_accumulator_s():
    rng = np.random.default_rng(0)
    both, parts = TrackAccumulator(), [TrackAccumulator(), TrackAccumulator()]
    for part in parts:
        for index in range(20):
            tracks = [track(n, *rng.uniform(5, 25, 2)) for n in range(3)]
            for each in (both, part):
                each.update(index * TENTH, tracks, BOX)
        both.close()
        part.close()
    parts[0].merge(parts[1])
    assert parts[0].result() == both.result()


def test_what_cannot_be_counted_is_refused():
    counts = TrackAccumulator()
    counts.update(10 * TENTH, [], BOX)
    with pytest.raises(UsageError, match="time 500000000 ns comes after 1000000000 ns"):
        counts.update(5 * TENTH, [], BOX)
    with pytest.raises(UsageError, match="1 boxes have ids"):
        counts.update(20 * TENTH, [], BOX, np.array([1, 2]))
