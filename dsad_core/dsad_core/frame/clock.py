"""Seconds between frames, from stamps that may be missing, repeat, or jump."""

from dataclasses import dataclass

#: A step back is a jump; a step ahead of more seconds than this is one too, or a pause. Both start anew.
LONGEST_GAP_S = 5.0
#: A stamp that stands still for longer is no time at all, seconds.
STUCK_S = 1.0


@dataclass(frozen=True)
class Tick:
    """The step to a frame.

    Attributes:
        seconds: since the last frame; 0 for the first, for a jump, and where no clock moved.
        jumped: the step is no duration: whatever was known is out of date.
    """

    seconds: float
    jumped: bool


class FrameClock:
    """Turns stamps into steps. Stamps of 0, or that stand still for long, give way to the moment of receipt.

    A stamp that comes twice is the same frame once more: no time has passed.

    Attributes:
        jumps: steps back, and ahead by more than ``LONGEST_GAP_S``.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._stamp: int | None = None
        self._received: int | None = None
        self._moved_at: int | None = None

    def tick(self, stamp_ns: int, received_ns: int | None = None) -> Tick:
        """Take the next frame's times.

        Args:
            stamp_ns: of the frame's header, nanoseconds; 0 is not a time.
            received_ns: when it was received, on a steady clock; None where nobody looked.
        """
        last_stamp, self._stamp = self._stamp, stamp_ns
        last_received, self._received = self._received, received_ns
        if last_stamp is None:
            self._moved_at = received_ns
            return Tick(0.0, jumped=False)
        moved = stamp_ns != last_stamp
        if moved:
            self._moved_at = received_ns
        if moved and stamp_ns and last_stamp:
            step = (stamp_ns - last_stamp) / 1e9
        elif received_ns is None or last_received is None or (stamp_ns and not self._stuck(received_ns)):
            step = 0.0
        else:
            step = (received_ns - last_received) / 1e9
        if step < 0.0 or step > LONGEST_GAP_S:
            self.jumps += 1
            return Tick(0.0, jumped=True)
        return Tick(step, jumped=False)

    def _stuck(self, received_ns: int) -> bool:
        return self._moved_at is not None and received_ns - self._moved_at > STUCK_S * 1e9
