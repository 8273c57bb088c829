"""Is this frame a picture of the scene? Shutter, repeated and settling frames are events, not targets."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from dsad_core.errors import UsageError
from dsad_core.frame.clock import FrameClock

#: About so many pixels of a frame are looked at, on a regular grid.
SAMPLES = 5000
#: Seconds in which the shutter falls, and the mean change of the picture when it does, as a share of the usual spread.
FALL_S, FALL_SHARE = 0.04, 0.12
#: Scene frames that the usual spread is taken over.
HISTORY = 30


class FrameKind(Enum):
    """What the camera made of a frame."""

    SCENE = "scene"
    REPEATED = "repeated"
    SHUTTER = "shutter"
    SETTLING = "settling"


@dataclass(frozen=True)
class MonitorSettings:
    """When a frame is no scene.

    Attributes:
        step_share: a step of the level by more than this share of the scene's spread (5 to 95 %) is a correction,
        step_residual: where it also exceeds so many deviations of what is left of the difference without it.
        gain_step: a change of the gain by more than this share is a jump of the automatic gain.
        shutter_share: a frame whose spread falls at once below this share of the usual is the shutter.
        settle_s: seconds after a correction in which frames are settling.
        longest_s: after so many seconds without a scene the picture is taken as it is, repeated frames excepted.

    Raises:
        UsageError: a value that is not above 0.
    """

    step_share: float = 0.1
    step_residual: float = 2.5
    gain_step: float = 0.3
    shutter_share: float = 0.3
    settle_s: float = 0.3
    longest_s: float = 2.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < 1e6:
                raise UsageError(f"monitor setting {name} {value} must be a number above 0")


class FrameMonitor:
    """Marks frames: scene, repeated, shutter or settling. One camera, one thread; 0.1 ms a frame.

    A *repeated* frame has the same bytes as the one before. A *shutter* frame has lost the scene's spread. A frame is
    *settling* from the end of the shutter, or a step of the counts' level or gain, until ``settle_s`` later. A pan
    is none of these: it changes the pixels, but not all by the same amount. Where a driver tells of a correction,
    say so with `announce`.

    In 8-bit frames a step is the camera's automatic gain: the scene stays in view, targets too, and the frame is a
    *scene*.

    Attributes:
        counts: frames by kind.
    """

    def __init__(self, settings: MonitorSettings | None = None):
        self.settings = settings or MonitorSettings()
        self.counts: Counter[FrameKind] = Counter()
        self._clock = FrameClock()
        self._now = 0.0
        self._shutter_told = False
        self._forget()

    def _forget(self) -> None:
        self._last: np.ndarray | None = None
        self._last_frame: np.ndarray | None = None
        self._spreads: deque[float] = deque(maxlen=HISTORY)
        self._disturbed_at: float | None = None
        self._scene_at: float = self._now
        self._was_shutter = False
        self._lately: deque[tuple[float, np.ndarray]] = deque()

    @property
    def announced(self) -> bool:
        """Whether the driver says that the shutter is closed."""
        return self._shutter_told

    def announce(self, closed: bool) -> None:
        """The driver tells that the shutter is closed (frames are *shutter*) or open again (they settle)."""
        if self._shutter_told and not closed:
            self._disturbed_at = self._now
        self._shutter_told = closed

    def update(self, frame: np.ndarray, stamp_ns: int, received_ns: int | None = None) -> FrameKind:
        """Mark the next frame.

        Args:
            frame: (H, W) uint8, uint16 or float32 without NaN; kept until the next call, so it must not change.
            stamp_ns: of its header, nanoseconds; 0 where there is none.
            received_ns: moment of receipt on a steady clock, for stamps that don't move.
        """
        tick = self._clock.tick(stamp_ns, received_ns)
        last = self._last_frame
        if tick.jumped or (last is not None and (last.shape, last.dtype) != (frame.shape, frame.dtype)):
            self._forget()
        self._now += tick.seconds
        kind = self._kind(frame)
        if kind is FrameKind.SCENE:
            self._scene_at = self._now
        self.counts[kind] += 1
        return kind

    def _kind(self, frame: np.ndarray) -> FrameKind:
        stride = max(1, int(np.sqrt(frame.size / SAMPLES)))
        samples = frame[::stride, ::stride].astype(np.float32).ravel()
        last, self._last = self._last, samples
        last_frame, self._last_frame = self._last_frame, frame
        if self._shutter_told:
            return FrameKind.SHUTTER  # the picture freezes meanwhile, so this comes before REPEATED
        same = last is not None and np.array_equal(samples, last)
        if same and last_frame is not None and np.array_equal(frame, last_frame):
            return FrameKind.REPEATED
        while len(self._lately) > 1 and self._lately[0][0] < self._now - FALL_S:
            self._lately.popleft()
        kind = self._of(samples, last, frame.dtype != np.uint8)
        self._lately.append((self._now, samples))
        return kind

    def _of(self, samples: np.ndarray, last: np.ndarray | None, counts: bool) -> FrameKind:
        """What a frame that does not repeat the last one is; ``counts`` are 16-bit and float pixels."""
        low, high = np.percentile(samples, (5, 95))
        spread = float(high - low)
        usual = float(np.median(self._spreads)) if self._spreads else None
        tired = self._now - self._scene_at > self.settings.longest_s
        if tired:
            self._disturbed_at, usual = None, None
            self._spreads.clear()
        elif (
            usual is not None
            and spread < self.settings.shutter_share * usual
            and (self._was_shutter or self._fell(samples, usual))
        ):
            self._was_shutter = True
            return FrameKind.SHUTTER
        elif self._was_shutter or (
            counts and last is not None and self._stepped(samples, last, usual or spread)
        ):
            self._disturbed_at = self._now
        self._was_shutter = False
        if self._disturbed_at is not None:
            if self._now - self._disturbed_at < self.settings.settle_s:
                return FrameKind.SETTLING
            self._disturbed_at = None
        self._spreads.append(spread)
        return FrameKind.SCENE

    def _fell(self, now: np.ndarray, usual: float) -> bool:
        """Whether the picture went at once; a camera that turns to the clear sky keeps most of it."""
        change = now - self._lately[0][1]
        return float(np.abs(change - np.median(change)).mean()) > FALL_SHARE * usual

    def _stepped(self, now: np.ndarray, last: np.ndarray, spread: float) -> bool:
        settings = self.settings
        change = now - last
        step = float(np.median(change))
        residual = 1.2533 * float(np.abs(change - step).mean())  # of a Gaussian, its deviation
        if abs(step) > max(settings.step_share * spread, settings.step_residual * residual):
            return True
        # A gain: the picture keeps its shape and changes its contrast.
        mean_now, mean_last = now - now.mean(), last - last.mean()
        power, both = float(np.dot(mean_last, mean_last)), float(np.dot(mean_now, mean_last))
        if power <= 0.0:
            return False
        gain = both / power
        alike = both / float(np.sqrt(power * np.dot(mean_now, mean_now)) or 1.0)
        return alike > 0.95 and (gain > 1 + settings.gain_step or gain < 1 / (1 + settings.gain_step))
