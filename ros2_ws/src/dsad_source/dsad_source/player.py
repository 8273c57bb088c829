"""When the next message of a recording may go out: pace, pause, step and lock-step. Knows no ROS."""

import threading
import time
from collections.abc import Callable

#: Jitter of an operating system that does other things too: no frame within it is called late.
TOLERANCE_NS = 2_000_000


class Player:
    """Holds messages back until their time, and frames until earlier frames are answered.

    Every message has a media time: nanoseconds on the recording's own time line. While it plays, a
    message is due when as much time has passed, times ``speed``, as lies between it and the message
    that playing began with. A frame that misses its time by more than the gap to the frame before it
    goes out at once, is counted as late, and moves the time line: what follows keeps its distances
    instead of catching up in a burst. Paused, nothing goes out; each step lets one frame pass, with the
    messages up to it.

    In lock-step a frame also waits until fewer than ``window`` frames are unanswered. An answer that
    takes longer than ``timeout`` is given up and counted. Time spent in that wait makes no frame late.

    One thread sends: for each message ``wait_turn``, for a frame then ``sending``, at the end
    ``wait_answers``. Any thread calls the rest.

    Args:
        speed: recorded seconds a second; None sends each message as soon as the other rules allow.
        window: frames that may be unanswered at a time, 0 for no lock-step.
        timeout: seconds to wait for an answer.
        paused: begin paused.
        on_unanswered: called with the key of each frame whose answer was given up.
        clock: steady clock, nanoseconds.
    """

    def __init__(
        self,
        speed: float | None = 1.0,
        window: int = 0,
        timeout: float = 10.0,
        paused: bool = False,
        on_unanswered: Callable[[int], None] = lambda key: None,
        clock: Callable[[], int] = time.monotonic_ns,
    ):
        self._speed = speed
        self._window = window
        self._timeout = int(timeout * 1e9)
        self._on_unanswered = on_unanswered
        self._clock = clock
        self._changed = threading.Condition()
        self._stopped = False
        self._paused = paused
        self._steps = 0
        self._stepped_to: int | None = None
        self._anchor: tuple[int, int] | None = None  # clock and media time that belong together
        self._last_frame: int | None = None
        self._held = False
        self._waiting: dict[int, int] = {}  # key of an unanswered frame -> when it is given up
        self.frames = 0
        self.late = 0
        self.answered = 0
        self.unanswered = 0

    @property
    def paused(self) -> bool:
        """Whether only steps move it."""
        return self._paused

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped

    def start(self) -> None:
        """Play on; the next message is due now."""
        with self._changed:
            if self._paused:
                self._paused, self._steps, self._stepped_to, self._anchor = False, 0, None, None
                self._changed.notify_all()

    def pause(self) -> None:
        """Let nothing more out."""
        with self._changed:
            self._paused, self._steps = True, 0
            self._changed.notify_all()

    def step(self) -> None:
        """Let one more frame pass, then be paused."""
        with self._changed:
            self._paused = True
            self._steps += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """End every wait, for good."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def answer(self, key: int) -> None:
        """The frame ``key`` was answered. Keys that nobody waits for are ignored."""
        with self._changed:
            if self._waiting.pop(key, None) is not None:
                self.answered += 1
                self._changed.notify_all()

    def wait_turn(self, at: int, frame: bool) -> bool:
        """Block until the message at media time ``at`` may go out; False once stopped."""
        with self._changed:
            self._held = False
            while not self._stopped:
                delay = self.delay(at, frame, self._clock())
                if delay == 0:
                    return True
                self._changed.wait(None if delay is None else delay / 1e9)
            return False

    def delay(self, at: int, frame: bool, now: int) -> int | None:
        """Nanoseconds from ``now`` until the message may go out; None if only a command can tell."""
        if self._paused and not self._steps and (self._stepped_to is None or at > self._stepped_to):
            return None
        if frame and self._window:
            self._give_up(now)
            if len(self._waiting) >= self._window:
                self._held = True
                return min(self._waiting.values()) - now
        if self._paused or self._speed is None:
            return 0
        return max(0, self._due(at, now) - now)

    def sending(self, at: int, key: int) -> None:
        """The frame that had its turn goes out now. Called first, since its answer may be quick."""
        now = self._clock()
        with self._changed:
            self.frames += 1
            if self._steps:
                self._steps -= 1
                self._stepped_to = at
            elif self._speed is not None and not self._paused:
                self._keep_time(at, now)
            self._last_frame = at
            if self._window:
                self._waiting[key] = now + self._timeout

    def wait_answers(self) -> bool:
        """Block until every frame is answered or given up; False once stopped."""
        with self._changed:
            while self._waiting and not self._stopped:
                self._give_up(self._clock())
                if self._waiting:
                    self._changed.wait(max(0, min(self._waiting.values()) - self._clock()) / 1e9)
            return not self._stopped

    def wait_start(self) -> bool:
        """Block while paused without a step to take; False once stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._steps or not self._paused)
            return not self._stopped

    def sleep(self, seconds: float) -> None:
        """Block for so long, or until stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, timeout=max(0.0, seconds))

    def _due(self, at: int, now: int) -> int:
        if self._anchor is None:
            self._anchor = (now, at)
        return self._anchor[0] + round((at - self._anchor[1]) / self._speed)

    def _keep_time(self, at: int, now: int) -> None:
        gap = 0 if self._last_frame is None else round((at - self._last_frame) / self._speed)
        if now - self._due(at, now) > max(gap, TOLERANCE_NS):
            self._anchor = (now, at)
            self.late += not self._held

    def _give_up(self, now: int) -> None:
        for key in [key for key, until in self._waiting.items() if until <= now]:
            del self._waiting[key]
            self.unanswered += 1
            self._on_unanswered(key)
