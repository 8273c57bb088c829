"""The inference thread with a real engine; publishers that keep what they get stand for rclpy's."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from detector_harness import scene
from sensor_msgs.msg import Image

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.errors import EngineError
from dsad_core.frame.codec import fill_message
from dsad_detector import inference as module
from dsad_detector.camera_info_buffer import CameraInfoBuffer
from dsad_detector.counters import Counters
from dsad_detector.inference import InferenceThread, Outputs
from dsad_detector.throttled_warnings import ThrottledWarnings


class Kept:
    """Takes the place of a publisher; ``journal`` has every message in order."""

    def __init__(self, name: str, journal: list, subscribers: int = 1):
        self._name, self._journal, self._subscribers = name, journal, subscribers

    def publish(self, message) -> None:
        self._journal.append((self._name, message))

    def get_subscription_count(self) -> int:
        return self._subscribers


@pytest.fixture
def make(ros):
    """Function that starts a thread; returns it with its journal, counters and log lines."""
    started = []

    def build(engine=None, overlay_subscribers: int = 0, deadline_ms: float = 0.0):
        journal, lines = [], []
        outputs = Outputs(
            *(Kept(name, journal) for name in ("mask", "targets", "timing")),
            Kept("overlay", journal, overlay_subscribers),
        )
        counters = Counters(activated=0)
        detector = Detector(engine or load_engine("local-contrast"))
        thread = InferenceThread(
            detector,
            outputs,
            CameraInfoBuffer(),
            counters,
            ThrottledWarnings(SimpleNamespace(warning=lines.append)),
            deadline_ms,
        )
        thread.start()
        started.append(thread)
        return SimpleNamespace(thread=thread, journal=journal, counters=counters, lines=lines)

    yield build
    for thread in started:
        thread.stop()


def message(frame: np.ndarray) -> Image:
    image = Image()
    fill_message(image, frame, "mono8")
    return image


def wait(condition) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


class Waiting:
    """An engine that answers when it is let, around a real one."""

    def __init__(self):
        self._engine = load_engine("local-contrast")
        self.manifest, self.platform = self._engine.manifest, self._engine.platform
        self.description, self.builds = "a real one that waits", False
        self.entered, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def infer(self, tensor):
        self.entered.release()
        assert self.go.acquire(timeout=20.0)
        return self._engine.infer(tensor)


def test_mask_targets_timing_in_this_order_and_the_overlay_after_them(make):
    run = make(overlay_subscribers=1)
    run.thread.put(message(scene(64, 64)[0]), time.monotonic_ns())
    wait(lambda: len(run.journal) == 4)
    assert [name for name, _ in run.journal] == ["mask", "targets", "timing", "overlay"]
    timing = run.journal[2][1]
    assert timing.frames_answered == 1 and timing.frames_refused == 0


def test_no_overlay_is_drawn_for_nobody(make, monkeypatch):
    monkeypatch.setattr(module, "draw_overlay", lambda *_: pytest.fail("drawn"))
    run = make(overlay_subscribers=0)
    run.thread.put(message(scene(64, 64)[0]), time.monotonic_ns())
    wait(lambda: run.counters.answered == 1)
    run.thread.stop()
    assert [name for name, _ in run.journal] == ["mask", "targets", "timing"]
    assert run.counters.refused_total == 0


def test_frames_that_find_the_thread_busy_are_dropped_but_the_newest(make):
    engine = Waiting()
    run = make(engine)
    frames = [message(scene(64, 64 + 8 * index)[0]) for index in range(5)]
    run.thread.put(frames[0], 1)
    assert engine.entered.acquire(timeout=20.0)
    for frame in frames[1:]:
        run.thread.put(frame, 1)
    engine.go.release()
    engine.go.release()
    wait(lambda: run.counters.answered == 2)
    assert [m.width for name, m in run.journal if name == "mask"] == [frames[0].width, frames[4].width]
    assert run.counters.dropped == 3


def test_stopping_finishes_the_frame_in_hand_and_counts_the_waiting_one(make):
    engine = Waiting()
    run = make(engine)
    run.thread.put(message(scene(64, 64)[0]), 1)
    assert engine.entered.acquire(timeout=20.0)
    run.thread.put(message(scene(64, 64)[0]), 1)
    stopper = threading.Thread(target=run.thread.stop)
    stopper.start()
    wait(lambda: run.counters.dropped == 1)
    engine.go.release()
    stopper.join(20.0)
    assert (run.counters.answered, run.counters.dropped) == (1, 1)


def test_an_engine_that_hangs_is_said_so(make, monkeypatch):
    monkeypatch.setattr(module, "STOP_TIMEOUT", 0.1)
    engine = Waiting()
    run = make(engine)
    run.thread.put(message(scene(64, 64)[0]), 1)
    assert engine.entered.acquire(timeout=20.0)
    with pytest.raises(TimeoutError, match="engine local-contrast has not answered"):
        run.thread.stop()
    engine.go.release()


@pytest.mark.parametrize(
    "error", [EngineError("engine x failed on 64x64"), MemoryError("no room"), RuntimeError("driver\ngone")]
)
def test_an_engine_that_fails_costs_the_frame_and_not_the_thread(make, error):
    engine = load_engine("local-contrast")
    work, engine.infer = engine.infer, lambda tensor: (_ for _ in ()).throw(error)
    run = make(engine)
    run.thread.put(message(scene(64, 64)[0]), 1)
    wait(lambda: run.counters.refused["engine"] == 1)
    assert len(run.lines) == 1 and "\n" not in run.lines[0] and str(error).split()[0] in run.lines[0]
    engine.infer = work
    run.thread.put(message(scene(64, 64)[0]), 1)
    wait(lambda: run.counters.answered == 1)


def test_late_answers_are_counted_against_the_deadline_of_the_moment(make):
    run = make(deadline_ms=1.0)
    frame = message(scene(64, 64)[0])
    run.thread.put(frame, time.monotonic_ns() - 1_000_000_000)
    wait(lambda: run.counters.answered == 1)
    assert run.counters.late == 1 and "deadline missed" in run.lines[0]
    run.thread.deadline_ms = 60_000.0
    run.thread.put(frame, time.monotonic_ns() - 1_000_000_000)
    wait(lambda: run.counters.answered == 2)
    assert run.counters.late == 1


def test_an_answer_that_is_not_finite_is_refused_under_its_own_reason(make):
    engine = load_engine("local-contrast")
    infer = engine.infer
    engine.infer = lambda tensor: infer(tensor) * np.float32("nan")
    run = make(engine)
    run.thread.put(message(scene(64, 64)[0]), time.monotonic_ns())
    wait(lambda: run.counters.refused_total == 1)
    assert run.counters.refused == {"not_finite": 1} and run.journal == []
    assert "4096 of 4096 logits of a 64x64 frame are NaN or infinite" in run.lines[0]


def test_targets_that_are_cut_are_counted_and_said(make):
    run = make()
    run.thread.detector.max_targets = 2
    run.thread.put(message(scene(64, 64)[0]), time.monotonic_ns())
    wait(lambda: len(run.journal) == 3)
    targets = run.journal[1][1]
    assert (len(targets.targets), targets.targets_cut, run.counters.targets_cut) == (2, 1, 1)
    assert "3 targets in one frame, the best 2 are listed (max_targets)" in run.lines[0]
