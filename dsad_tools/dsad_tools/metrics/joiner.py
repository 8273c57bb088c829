"""Puts the parts of a frame together by exact stamp: announcement, truth, mask and timing.

Knows no ROS: stamps are integer nanoseconds, and the caller gives the time of its steady clock.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from dsad_core.frame.timing import FrameTimes
from dsad_core.tracking import Track

Part = Literal["announced", "truth", "boxes", "mask", "timing", "follow", "tracks"]


@dataclass(frozen=True, slots=True)
class LabelledBoxes:
    """Truth as boxes (N, 4) x, y, w, h in pixels, of a frame of size (height, width).

    ``ids`` (N,) number their targets from frame to frame, or are None.
    """

    boxes: np.ndarray
    size: tuple[int, int]
    ids: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class FrameTracks:
    """The tracks after a frame, what kind of frame it was, and frames so far whose motion was not measured."""

    tracks: list[Track]
    size: tuple[int, int]
    kind: str = "scene"
    motion_failures: int = 0


@dataclass(slots=True)
class JoinedFrame:
    """What has arrived of one frame.

    ``first_seen_ns`` is on the caller's steady clock; ``jumps_before`` tells the passes of a looping bag
    apart.
    """

    stamp_ns: int
    first_seen_ns: int
    jumps_before: int = 0
    parts: set[Part] = field(default_factory=set)
    truth: np.ndarray | None = None
    boxes: LabelledBoxes | None = None
    mask: np.ndarray | None = None
    timing: FrameTimes | None = None
    follow: int | None = None
    tracks: FrameTracks | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Orders frames by time, through the passes of a looping bag."""
        return self.jumps_before, self.stamp_ns

    @property
    def answered(self) -> bool:
        return self.mask is not None


@dataclass(slots=True)
class _Finished:
    parts: set[Part]
    jumps_before: int


class FrameJoiner:
    """Joins parts of frames, each of which may come first, late, twice or never.

    A frame is finished, and handed out once, when mask, timing, truth and the tracks that are announced are there, or when ``join_timeout_ns`` has passed since its first part. Tracks of a later frame show that the tracker
    passed over it. A part of a frame that has been finished is counted
    in ``late`` and otherwise ignored.

    The same part of the same stamp a second time is the same frame shown again (a bag that loops): what is
    there of the old one is finished, and a new frame begins. That, or a stamp earlier than the newest by
    more than the timeout, is a jump back of the frames' clock; ``jumps`` counts them, one for each pass of a
    bag that loops.

    Frames with stamp 0 cannot be told apart and so are never joined: their timing makes an unlabelled frame
    without a mask, all else is left aside; ``unstamped`` counts their masks.

    Args:
        join_timeout_ns: how long to wait for the parts of a frame.
        max_pending: frames waited for at a time; beyond it the oldest is finished early.
        remembered: finished stamps known, to tell a late part from a new frame.
    """

    def __init__(self, join_timeout_ns: int, max_pending: int = 500, remembered: int = 10_000):
        self.truth_expected = True
        """Whether to wait for truth: False while nobody publishes any."""
        self.jumps = 0
        self.late: Counter[Part] = Counter()
        self.unstamped = 0
        self._timeout_ns = join_timeout_ns
        self._max_pending = max_pending
        self._remembered = remembered
        self._pending: OrderedDict[int, JoinedFrame] = OrderedDict()
        self._finished: OrderedDict[int, _Finished] = OrderedDict()
        self._newest_ns: int | None = None
        self._newest_tracks = (0, 0)

    @property
    def pending(self) -> int:
        """Frames of which something is still awaited."""
        return len(self._pending)

    def oldest_pending(self) -> tuple[int, int] | None:
        """Key of the earliest frame of which something is still awaited."""
        return min((frame.key for frame in self._pending.values()), default=None)

    def put(self, stamp_ns: int, part: Part, value, now_ns: int) -> list[JoinedFrame]:
        """Take one part and return the frames that are finished by it.

        Args:
            stamp_ns: of the frame's header.
            part: ``announced`` (value ignored), ``truth`` and ``mask`` (H, W) uint8, ``boxes``
                (`LabelledBoxes`), ``timing`` (`FrameTimes`), ``tracks`` (`FrameTracks`), or, put before the timing,
                ``follow``: tracks are to come, from the detector that was activated then (int).
        """
        if stamp_ns == 0:
            return self._put_unstamped(part, value, now_ns)
        finished: list[JoinedFrame] = []
        frame = self._pending.get(stamp_ns)
        if frame is not None and part in frame.parts:
            finished.append(self._finish(stamp_ns))
            frame = None
        if frame is None:
            known = self._finished.get(stamp_ns)
            if known is not None and part not in known.parts:
                known.parts.add(part)
                self.late[part] += 1
                return finished
            frame = self._begin(stamp_ns, now_ns)
            if len(self._pending) > self._max_pending:
                finished.append(self._finish(next(iter(self._pending))))
        frame.parts.add(part)
        if part != "announced":
            setattr(frame, part, value)
        if part == "tracks":
            self._newest_tracks = max(self._newest_tracks, frame.key)
        if self._complete(frame):
            finished.append(self._finish(stamp_ns))
        return finished

    def expire(self, now_ns: int) -> list[JoinedFrame]:
        """Finish the frames whose time is up, and those that wait for truth nobody publishes."""
        due = [
            stamp
            for stamp, frame in self._pending.items()
            if now_ns - frame.first_seen_ns >= self._timeout_ns or self._complete(frame)
        ]
        return [self._finish(stamp) for stamp in due]

    def drain(self) -> list[JoinedFrame]:
        """Finish every frame, whatever is there of it."""
        return [self._finish(stamp) for stamp in list(self._pending)]

    def _put_unstamped(self, part: Part, value, now_ns: int) -> list[JoinedFrame]:
        if part == "mask":
            self.unstamped += 1
        if part != "timing":
            return []
        return [JoinedFrame(0, now_ns, self.jumps, {"timing"}, timing=value)]

    def _complete(self, frame: JoinedFrame) -> bool:
        labelled = "truth" in frame.parts or "boxes" in frame.parts or not self.truth_expected
        if not (labelled and "mask" in frame.parts and "timing" in frame.parts):
            return False
        return frame.follow is None or frame.tracks is not None or frame.key < self._newest_tracks

    def _begin(self, stamp_ns: int, now_ns: int) -> JoinedFrame:
        known = self._finished.get(stamp_ns)
        again = known is not None and known.jumps_before == self.jumps
        back = self._newest_ns is not None and stamp_ns < self._newest_ns - self._timeout_ns
        if again or back:
            self.jumps += 1
            self._newest_ns = stamp_ns
        self._newest_ns = max(stamp_ns, self._newest_ns or 0)
        frame = self._pending[stamp_ns] = JoinedFrame(stamp_ns, now_ns, self.jumps)
        return frame

    def _finish(self, stamp_ns: int) -> JoinedFrame:
        frame = self._pending.pop(stamp_ns)
        self._finished.pop(stamp_ns, None)
        self._finished[stamp_ns] = _Finished(frame.parts, frame.jumps_before)
        if len(self._finished) > self._remembered:
            self._finished.popitem(last=False)
        return frame
