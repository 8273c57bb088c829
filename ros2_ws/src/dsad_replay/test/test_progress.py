import math
from types import SimpleNamespace

from dsad_replay.progress import QUIET_SECONDS, SETTLE_SECONDS, Progress, live_line


def metrics(frames=0, unlabelled=0, missed=0, latency_max=math.nan, **total):
    figures = dict(pd=math.nan, fa=math.nan, iou=math.nan) | total
    window = SimpleNamespace(frame_rate=20.0, latency_p50=12.34, latency_p99=math.nan)
    total = SimpleNamespace(
        frames=frames, frames_unlabelled=unlabelled, frames_missed=missed, latency_max=latency_max, **figures
    )
    return SimpleNamespace(total=total, window=window, frames_dropped=1, frames_lost=2)


def timing(received, answered, dropped=0, refused=0):
    return SimpleNamespace(
        activated=1,
        frames_received=received,
        frames_answered=answered,
        frames_dropped=dropped,
        frames_refused=refused,
    )


def test_settled_soon_after_everything_received_is_answered_and_scored():
    progress = Progress()
    progress.restart(10.0)
    progress.on_timing(timing(10, 9, dropped=1), 10.0)
    progress.on_metrics(metrics(frames=8, unlabelled=1), 10.1)
    assert not progress.settled(10.1 + SETTLE_SECONDS / 2)
    assert progress.settled(10.1 + SETTLE_SECONDS)


def test_counters_that_were_overtaken_are_passed_over():
    progress = Progress()
    progress.restart(10.0)
    progress.on_timing(timing(10, 10), 10.0)
    progress.on_timing(timing(10, 9), 10.0)
    progress.on_timing(timing(9, 9), 10.0)
    assert (progress.timing.frames_received, progress.timing.frames_answered) == (10, 10)


def test_an_answer_that_is_not_scored_yet_is_waited_for():
    progress = Progress()
    progress.restart(10.0)
    progress.on_timing(timing(10, 10), 10.0)
    progress.on_metrics(metrics(frames=9), 10.1)
    assert not progress.settled(10.1 + QUIET_SECONDS / 2)
    progress.on_metrics(metrics(frames=10), 11.5)
    assert progress.settled(11.5 + SETTLE_SECONDS)


def test_a_frame_in_the_detector_is_waited_for_as_long_as_there_is_hope():
    progress = Progress()
    progress.restart(10.0)
    progress.on_timing(timing(10, 9), 10.0)
    progress.on_metrics(metrics(frames=9), 10.0)
    assert not progress.settled(10.0 + 0.9 * QUIET_SECONDS)
    assert progress.settled(10.0 + QUIET_SECONDS)
    progress.on_metrics(metrics(frames=9, latency_max=3000.0), 10.0)
    assert not progress.settled(10.0 + QUIET_SECONDS)
    assert progress.settled(10.0 + 9.0)


def test_silence_counts_from_the_end_of_the_source():
    progress = Progress()
    progress.restart(100.0)
    assert not progress.settled(100.0 + QUIET_SECONDS / 2)
    assert progress.settled(100.0 + QUIET_SECONDS)


def test_live_line_shows_figures_and_dashes_what_is_not_known():
    line = live_line(metrics(frames=7, missed=3, pd=0.9, fa=4.2e-5))
    assert "7 frames" in line and "Pd 0.900" in line and "Fa 4.20e-5" in line and "missed 3" in line
    assert "IoU –" in line and "p50 12.3 ms" in line and "p99 – ms" in line
