"""What became of every frame since the node was activated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counters:
    """Every received frame ends as answered, dropped or refused.

    The executor's thread writes ``received``, ``dropped``, ``lost``, ``size_changes`` and what it
    last saw; the inference thread writes the others. Each field has one writer, so none needs a
    lock; a reader on another thread may be one frame behind.

    Attributes:
        received: frames that reached the callback.
        answered: frames whose mask and targets were published.
        dropped: overwritten by a newer frame while inference was busy.
        lost: gone before the callback, by publication sequence number.
        lost_by_transport: samples that the middleware itself reported as lost.
        refused: frames that could not be answered, by reason: a ``FrameError`` reason, or
            ``engine`` where the engine failed.
        late: answers that took longer than the deadline.
        size_changes: frames of another size than the one before.
        last_received: steady clock, nanoseconds; the activation until the first frame.
        last_frame: size and encoding of the newest frame, for people.
    """

    last_received: int
    received: int = 0
    answered: int = 0
    dropped: int = 0
    lost: int = 0
    lost_by_transport: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    late: int = 0
    size_changes: int = 0
    last_frame: str = ""

    @property
    def refused_total(self) -> int:
        """Refused frames of all reasons."""
        # A copy first: the inference thread may add a reason meanwhile.
        return sum(self.refused.copy().values())
