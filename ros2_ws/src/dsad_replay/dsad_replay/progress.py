"""How far a run has come: its live line, and when its last frame is answered and scored."""

from __future__ import annotations

import math
from typing import Any

#: Seconds for which a run must be idle, so that a frame still in transport is not overlooked.
SETTLE_SECONDS = 0.3
#: Seconds without any progress after which no more is expected.
QUIET_SECONDS = 2.0


class Progress:
    """Follows dsad_msgs DetectionMetrics, FrameTiming and FrameCounters; knows no ROS itself."""

    def __init__(self):
        self.metrics: Any = None
        self.timing: Any = None
        self._changed = 0.0
        self._idle_since: float | None = None
        self._mark: tuple = ()

    def on_metrics(self, message, now: float) -> None:
        """Take the newest figures; ``now`` in seconds of a steady clock."""
        self.metrics = message
        self._look(now)

    def on_timing(self, message, now: float) -> None:
        """Take a FrameTiming or FrameCounters, whichever counts further; a new activation starts afresh."""
        known = self.timing
        # The two topics may overtake each other.
        if known is None or message.activated != known.activated or _counted(message) >= _counted(known):
            self.timing = message
        self._look(now)

    def restart(self, now: float) -> None:
        """Count the silence from here: the source has just ended."""
        self._changed = now

    def settled(self, now: float) -> bool:
        """Whether every frame is answered and scored, or no progress is made any more.

        An engine slower than the quiet time is given three of its own latencies.
        """
        if self._idle_since is not None and now - self._idle_since >= SETTLE_SECONDS:
            return True
        slowest = self.metrics.total.latency_max if self.metrics else math.nan
        patience = QUIET_SECONDS if math.isnan(slowest) else max(QUIET_SECONDS, 3e-3 * slowest)
        return now - self._changed >= patience

    def _look(self, now: float) -> None:
        total = self.metrics.total if self.metrics else None
        scored = total.frames + total.frames_unlabelled if total else 0
        timing = self.timing
        answered = timing.frames_answered if timing else 0
        received = timing.frames_received if timing else 0
        mark = (scored, total.frames_missed if total else 0, answered, received)
        if mark != self._mark:
            self._mark, self._changed, self._idle_since = mark, now, None
        if not timing:
            return
        handled = answered + timing.frames_dropped + timing.frames_refused
        if received == handled and scored >= answered:
            self._idle_since = self._idle_since or now


def _counted(message) -> int:
    handled = message.frames_answered + message.frames_dropped + message.frames_refused
    return message.frames_received + handled


def live_line(metrics) -> str:
    """The figures of a dsad_msgs DetectionMetrics in one line; a dash where there is none yet."""
    total, window = metrics.total, metrics.window
    figures = [
        f"{total.frames + total.frames_unlabelled} frames",
        f"Pd {_figure(total.pd, '.3f')}",
        f"Fa {_figure(total.fa * 1e5, '.2f')}e-5",
        f"IoU {_figure(total.iou, '.3f')}",
        f"{_figure(window.frame_rate, '.1f')} Hz",
        f"p50 {_figure(window.latency_p50, '.1f')} ms",
        f"p99 {_figure(window.latency_p99, '.1f')} ms",
        f"dropped {metrics.frames_dropped}",
        f"lost {metrics.frames_lost}",
        f"missed {total.frames_missed}",
    ]
    return "  ".join(figures)


def _figure(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
