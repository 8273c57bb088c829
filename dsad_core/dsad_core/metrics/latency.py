"""Latency and rate from durations of a steady clock, in bounded memory."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from dsad_core.errors import UsageError

SAMPLE_LIMIT = 1 << 20
"""Durations kept by one `LatencyStats` (8 MB); beyond it, an even sample of the run is kept."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latency in milliseconds over ``frames`` frames."""

    frames: int
    p50: float
    p95: float
    p99: float
    max: float

    def to_dict(self) -> dict:
        return asdict(self)


def percentiles(durations_ns: Sequence[int]) -> Percentiles | None:
    """Percentiles by nearest rank: each is a duration that was measured, none is interpolated.

    The p-th is the smallest duration that at least p % of the frames do not exceed. None without frames.
    """
    if not len(durations_ns):
        return None
    durations = np.asarray(durations_ns, dtype=np.uint64)
    ranks = [max(math.ceil(len(durations) * p / 100), 1) - 1 for p in (50, 95, 99)]
    # Only these places are put in order: a whole sort of a long run takes tens of milliseconds.
    ordered = np.partition(durations, [*ranks, len(durations) - 1])
    p50, p95, p99 = (float(ordered[rank]) / 1e6 for rank in ranks)
    return Percentiles(len(ordered), p50, p95, p99, float(ordered[-1]) / 1e6)


class LatencyStats:
    """Percentiles over a whole run.

    Exact up to `SAMPLE_LIMIT` frames (2.9 hours at 100 a second); after that over every 2nd, 4th, ... frame
    of the run, so that memory stays bounded. ``max`` and ``frames`` always cover every frame.
    """

    def __init__(self, limit: int = SAMPLE_LIMIT):
        self._limit = limit
        self._kept = array("Q")
        self._every = 1
        self._frames = 0
        self._max = 0
        self._result: Percentiles | None = None

    def add(self, duration_ns: int) -> None:
        """Add one duration in nanoseconds.

        Raises:
            UsageError: it is negative, which no steady clock gives.
        """
        if duration_ns < 0:
            raise UsageError(f"a duration of {duration_ns} ns is negative: its clock is not steady")
        if self._frames % self._every == 0:
            self._kept.append(duration_ns)
        self._frames += 1
        self._max = max(self._max, duration_ns)
        if len(self._kept) >= self._limit:
            self._kept = self._kept[::2]
            self._every *= 2

    def result(self) -> Percentiles | None:
        """Percentiles so far; None without frames."""
        if self._frames and (self._result is None or self._result.frames != self._frames):
            sample = percentiles(self._kept)
            self._result = sample and replace(sample, frames=self._frames, max=self._max / 1e6)
        return self._result

    def durations_ms(self) -> np.ndarray:
        """The kept durations, in the order of the run."""
        return np.frombuffer(self._kept, np.uint64) / 1e6 if len(self._kept) else np.empty(0)


class RateMeter:
    """Events a second, from steady time stamps that arrive in order.

    A stamp earlier than the last one means another clock (the publisher moved or its machine restarted):
    the interval between the two is left out.
    """

    def __init__(self):
        self._last: int | None = None
        self._intervals = 0
        self._span_ns = 0

    def add(self, stamp_ns: int) -> None:
        if self._last is not None and stamp_ns >= self._last:
            self._intervals += 1
            self._span_ns += stamp_ns - self._last
        self._last = stamp_ns

    def rate(self) -> float | None:
        """Intervals over their summed length, 1/s; None before the second event."""
        return self._intervals * 1e9 / self._span_ns if self._span_ns else None
