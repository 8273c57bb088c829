"""Live figures: window and whole run, restarts, refusals, pictures."""

import numpy as np
import pytest

from dsad_core.frame.timing import FrameTimes
from dsad_core.metrics.counts import FrameCounts
from dsad_tools.metrics.frame_picture import FramePicture
from dsad_tools.metrics.joiner import LabelledBoxes
from dsad_tools.metrics.live import LiveMetrics
from dsad_tools.metrics.pictures import PictureSampler
from dsad_tools.metrics.record import FrameRecord, RunFacts

SECOND = 10**9
START = 1_700_000_000 * SECOND
MS = 1_000_000


def square(x=4, y=4, shape=(16, 16)):
    mask = np.zeros(shape, np.uint8)
    mask[y : y + 2, x : x + 2] = 255
    return mask


def play(live, n, truth=None, predicted=None, latency_ms=10, published_ms=None, stamp=None):
    stamp = START + n * SECOND // 25 if stamp is None else stamp
    published = (40 * n if published_ms is None else published_ms) * MS
    live.put(stamp, "announced", None, n)
    if isinstance(truth, LabelledBoxes):
        live.put(stamp, "boxes", truth, n)
    elif truth is not None:
        live.put(stamp, "truth", truth, n)
    if predicted is not None:
        live.put(stamp, "mask", predicted, n)
        live.put(stamp, "timing", FrameTimes(*[published - latency_ms * MS] * 4, *[published] * 3), n)


def test_window_and_whole_run():
    live = LiveMetrics("nearest", window=2, join_timeout_ns=SECOND)
    play(live, 0, square(), np.zeros((16, 16), np.uint8), latency_ms=30)
    for n in (1, 2):
        play(live, n, square(), square(), latency_ms=10)
    window, total = live.window(), live.total()
    assert (window.result.frames, window.result.pd, window.latency.max) == (2, 1.0, 10.0)
    assert (total.result.frames, total.result.pd, total.latency.max) == (3, 2 / 3, 30.0)
    assert window.frame_rate == total.frame_rate == pytest.approx(25.0)


def test_missed_and_unlabelled_are_counted_apart():
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND)
    play(live, 0, square())
    play(live, 1, None, square())
    live.expire(10 * SECOND)
    total = live.total()
    assert (total.result.frames, total.frames_missed, total.frames_unlabelled) == (0, 1, 1)
    assert total.result.pd is None
    # The answer comes all the same: the frame stays missed.
    live.put(START, "mask", square(), 10 * SECOND)
    assert live.total().frames_missed == 1
    assert live.joined_counters()["masks_late"] == 1


def test_a_jump_back_resets_the_window_only():
    live = LiveMetrics("nearest", window=100, join_timeout_ns=SECOND)
    for n in range(5):
        play(live, n * 100, square(), square())
    play(live, 0, square(), square(), published_ms=50_000)
    assert live.window().result.frames == 1
    assert live.total().result.frames == 6
    assert live.joined_counters()["clock_jumps"] == 1


def test_a_detector_on_another_clock_gives_no_absurd_rate():
    live = LiveMetrics("nearest", window=100, join_timeout_ns=SECOND)
    for n in range(4):
        play(live, n, square(), square(), published_ms=10**9 + 40 * n)
    for n in range(4, 8):
        play(live, n, square(), square(), published_ms=40 * n)
    assert live.window().frame_rate == pytest.approx(25.0)
    assert live.total().frame_rate == pytest.approx(25.0)


def test_detector_counters_go_on_through_a_restart():
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND)
    for activated, dropped in ((100, 3), (100, 5), (200, 1)):
        live.put_detector_counters(activated, frames_dropped=dropped)
    assert live.counters["frames_dropped"] == 6
    live.reset()
    live.put_detector_counters(200, frames_dropped=2)
    assert live.counters["frames_dropped"] == 1


def test_detector_counters_that_were_overtaken_count_nothing():
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND)
    live.put_detector_counters(100, frames_lost=149)
    live.put_detector_counters(100, frames_lost=3)
    live.put_detector_counters(200, frames_lost=1)
    live.put_detector_counters(100, frames_lost=150)
    assert live.counters["frames_lost"] == 150
    live.put_detector_counters(50, frames_lost=2)  # the machine was started anew
    assert live.counters["frames_lost"] == 152


def test_the_first_truth_decides_between_masks_and_boxes():
    boxes = LabelledBoxes(np.array([[3, 3, 4, 4]]), (16, 16))
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND)
    play(live, 0, boxes, square())
    play(live, 1, square(), square())
    assert live.matching == "box"
    assert (live.total().result.frames, live.total().frames_unlabelled) == (1, 1)
    assert live.counters["truth_refused"] == 1
    live.reset()
    play(live, 2, square(), square())
    assert (live.matching, live.total().result.pd) == ("nearest", 1.0)


@pytest.mark.parametrize("truth", [square(shape=(16, 20)), LabelledBoxes(np.array([[3, 3, 4, 4]]), (16, 20))])
def test_truth_of_another_size_is_refused_with_the_reason(truth):
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND)
    play(live, 0, truth, square())
    assert live.counters["truth_refused"] == 1
    assert "16" in live.refusal and "20" in live.refusal
    assert live.total().frames_unlabelled == 1


def test_frames_without_a_stamp_are_timed_and_unlabelled():
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND)
    for n in range(3):
        play(live, n, square(), square(), stamp=0, latency_ms=7)
    total = live.total()
    assert (total.result.frames, total.frames_unlabelled, total.frames_missed) == (0, 3, 0)
    assert total.latency.p50 == 7.0
    assert live.joined_counters()["frames_unstamped"] == 3


def test_run_record_has_pictures_of_the_frames_that_went_wrong():
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND, pictures=4)
    for n in range(50):
        live.put_image(START + n * SECOND // 25, square() // 3)
        play(live, n, square(), square(10, 10) if n in (17, 33) else square())
    run = live.run_record("run", RunFacts(), [])
    titles = [picture.title for picture in run.pictures]
    assert len(titles) == 4
    assert {f"{1_700_000_000 + n // 25}.{n % 25 * 40_000_000:09d}" for n in (17, 33)} <= set(titles)
    assert run.counters["frames"] == 50 == len(run.frames)
    assert run.facts.matching == "nearest" and run.facts.started


def test_images_in_wait_are_bounded():
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND, pictures=4)
    for n in range(100):
        live.put_image(START + n, np.zeros((1024, 1024), np.uint8))
    assert live.images_held == 64


def test_sampler_spreads_evenly_without_errors():
    sampler = PictureSampler(6)
    mask = np.zeros((2, 2), np.uint8)
    for n in range(1000):
        sampler.offer(None, lambda n=n: FramePicture(str(n), mask, mask))
    numbers = [int(picture.title) for picture in sampler.result()]
    assert len(numbers) == 6 and numbers[0] == 0 and numbers == sorted(numbers)
    assert max(np.diff([*numbers, 1000])) < 400


def test_sampler_of_nothing_and_of_no_pictures():
    assert PictureSampler(5).result() == []
    sampler = PictureSampler(0)
    sampler.offer(FrameCounts(1, 0, 0, 0, 0, 0, 4, 100), lambda: pytest.fail("no picture was asked for"))
    assert sampler.result() == []


def test_frame_record_latency():
    assert FrameRecord("a", 0, True).latency_ns is None
    assert FrameRecord("a", 0, True, None, {"decode": 2, "inference": 5}).latency_ns == 7


def test_an_image_may_come_after_its_answer():
    live = LiveMetrics("nearest", window=10, join_timeout_ns=SECOND, pictures=4)
    for n in range(40):
        play(live, n, square(), square())
    live.put_image(START + 39 * SECOND // 25, square())
    # Too late: its answer has been let go.
    live.put_image(START, square())
    assert len(live.run_record("run", RunFacts(), []).pictures) == 1
