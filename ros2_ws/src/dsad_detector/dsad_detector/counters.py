"""What became of every frame since the node was activated."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass
class Counters:
    """Every received frame ends as answered, dropped or refused; the README defines them all.

    The executor's thread writes ``received``, ``dropped``, the two of ``lost``, ``size_changes`` and what it
    last saw; the inference thread writes the others. Each field has one writer, so none needs a
    lock; a reader on another thread may be one frame behind.

    Attributes:
        activated: steady clock, nanoseconds; all counts begin here.
        received: frames that reached the callback.
        answered: frames whose mask and targets were published.
        dropped: overwritten by a newer frame while inference was busy.
        lost_by_number: gaps in the publisher's sequence numbers.
        lost_by_transport: frames that the middleware itself reported as lost.
        refused: frames that could not be answered, by reason: a ``FrameError`` reason, ``not_finite``, or
            ``engine`` where the engine failed.
        late: answers that took longer than the deadline.
        targets_cut: targets beyond ``max_targets`` of their frame.
        size_changes: frames of another size than the one before.
        last_received: steady clock, nanoseconds; the activation until the first frame.
        last_frame: size and encoding of the newest frame, for people.
        frame_bytes: of the largest frame received.
    """

    activated: int
    received: int = 0
    answered: int = 0
    dropped: int = 0
    lost_by_number: int = 0
    lost_by_transport: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    late: int = 0
    targets_cut: int = 0
    size_changes: int = 0
    last_received: int = 0
    last_frame: str = ""
    frame_bytes: int = 0

    def __post_init__(self) -> None:
        self.last_received = self.last_received or self.activated

    @property
    def lost(self) -> int:
        """Frames sent to the detector and gone before its callback.

        Numbers miss what is lost before the first frame and after the last one, the middleware misses what
        its own queue overwrites, and both see the rest: the larger of the two is never too high.
        """
        return max(self.lost_by_number, self.lost_by_transport)

    @property
    def refused_total(self) -> int:
        """Refused frames of all reasons."""
        # A copy first: the inference thread may add a reason meanwhile.
        return sum(self.refused.copy().values())


class DropShare:
    """Which share of the newest frames was dropped.

    Args:
        seconds: how far back it looks.
        least: frames below which a share says nothing.
    """

    def __init__(self, seconds: float = 5.0, least: int = 10):
        self._seconds, self._least = seconds, least
        self._seen: deque[tuple[float, int, int]] = deque()

    def look(self, now: float, counters: Counters) -> float:
        """The share, 0 to 1, over the newest seconds; 0 while there are few frames.

        Args:
            now: steady clock, seconds.
        """
        if self._seen and counters.received < self._seen[-1][1]:
            self._seen.clear()  # activated anew
        self._seen.append((now, counters.received, counters.dropped))
        while len(self._seen) > 2 and now - self._seen[1][0] >= self._seconds:
            self._seen.popleft()
        _, received, dropped = self._seen[0]
        came = counters.received - received
        return (counters.dropped - dropped) / came if came >= self._least else 0.0
