"""Tracks against labelled targets, sequence by sequence: the one way, for live runs and offline ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dsad_core.metrics.tracks import TrackAccumulator, TrackResult
from dsad_core.tracking import MotionState, Track
from dsad_tools.metrics.crops import Crop, cut
from dsad_tools.metrics.mot import MotFigures, MotSequence, mot_figures

#: Frames whose pairs TrackEval is given; a longer run has no HOTA, IDF1 and MOTA.
MOT_FRAMES = 200_000
#: Newest sequences that are kept for the report, and frames of each that are drawn.
SEQUENCES, STORY_FRAMES = 1000, 50_000


@dataclass(frozen=True)
class TrackLine:
    """A target or a track through a sequence, for the report.

    Attributes:
        id: of the target or the track.
        frames: frame numbers in which it was there (a track: confirmed or coasting).
        points: (len(frames), 2) float32 centres, pixels.
        moving: the track was called moving in at least one frame.
        on_target: share of its labelled frames on a target; None for a target and where nothing was labelled.
        covered: a target's share of frames with a track on it; None for a track.
        crop: how it looked in its first frame that had a picture.
        is_target: a labelled target, no track.
    """

    id: int
    frames: list[int]
    points: np.ndarray
    moving: bool = False
    on_target: float | None = None
    covered: float | None = None
    crop: Crop | None = None
    is_target: bool = False


@dataclass(frozen=True)
class SequenceTracks:
    """One sequence's figures and lines; ``size`` is (height, width), ``picture`` its first frame, if at hand."""

    name: str
    frames: int
    fps: float
    size: tuple[int, int]
    result: TrackResult
    truth: list[TrackLine]
    tracks: list[TrackLine]
    picture: np.ndarray | None = None


class TrackScorer:
    """Counts frames in the order of their time; a step back in time begins another sequence."""

    def __init__(self) -> None:
        self.sequences: list[SequenceTracks] = []
        self._total = TrackAccumulator()
        self._mot: list[MotSequence] = []
        self._mot_frames = 0
        self._stamps: tuple[int, int] | None = None
        self._begin()

    @property
    def frames(self) -> int:
        """Frames of the open sequence so far."""
        return self._frames

    def add(
        self,
        stamp_ns: int,
        tracks: Sequence[Track],
        size: tuple[int, int],
        boxes: np.ndarray | None,
        ids: np.ndarray | None = None,
        picture: np.ndarray | None = None,
    ) -> None:
        """Count one frame.

        Args:
            stamp_ns: its time, nanoseconds.
            tracks: all alive after the frame; tentative ones are left out.
            size: (height, width) of the frame.
            boxes, ids: (N, 4) and (N,) of the labelled targets, see `TrackAccumulator.update`.
            picture: the frame (H, W) where it is at hand; kept, so it must not change.

        Raises:
            UsageError: boxes and ids disagree.
        """
        if self._stamps and stamp_ns < self._stamps[1]:
            self.close(f"sequence {len(self.sequences) + 1}")
        self._counts.update(stamp_ns, tracks, boxes, ids)
        self._stamps = (self._stamps[0] if self._stamps else stamp_ns, stamp_ns)
        self._size = size
        if self._frames < STORY_FRAMES:
            self._story.add(self._frames, tracks, boxes, ids, picture)
        if boxes is not None:
            self._mot_frames += 1
            if self._mot_frames <= MOT_FRAMES:
                names = list(range(len(boxes))) if ids is None else ids.tolist()
                self._pairs.add(names, boxes, [track for track in tracks if track.confirmed])
        self._frames += 1

    def close(self, name: str, fps: float | None = None) -> None:
        """End the sequence; without ``fps`` its rate is taken from its stamps. One without a frame is none."""
        if self._stamps is None:
            return
        if fps is None:
            span = (self._stamps[1] - self._stamps[0]) / 1e9
            fps = (self._frames - 1) / span if span else 1.0
        self._counts.close()
        self._total.merge(self._counts)
        self._mot.append(self._pairs)
        truth, lines = self._story.lines()
        picture = self._story.picture
        self.sequences.append(
            SequenceTracks(name, self._frames, fps, self._size, self._counts.result(), truth, lines, picture)
        )
        del self.sequences[:-SEQUENCES]
        self._begin()

    def result(self) -> TrackResult:
        """Figures so far, as if the open sequence ended here."""
        total = TrackAccumulator()
        total.merge(self._total)
        open_one = copy.deepcopy(self._counts)
        open_one.close()
        total.merge(open_one)
        return total.result()

    def mot(self) -> MotFigures | None:
        """HOTA, IDF1 and MOTA of the closed sequences; None without TrackEval, or where they are too long."""
        return mot_figures(self._mot) if self._mot_frames <= MOT_FRAMES else None

    def _begin(self) -> None:
        self._counts, self._pairs, self._story = TrackAccumulator(), MotSequence(), _Story()
        self._frames, self._size = 0, (0, 0)
        self._stamps = None


@dataclass
class _Line:
    frames: list[int] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)
    on: int = 0
    seen: int = 0
    moving: bool = False
    crop: Crop | None = None

    def add(self, frame: int, x: float, y: float, picture: np.ndarray | None) -> None:
        self.frames.append(frame)
        self.points.append((x, y))
        if self.crop is None and picture is not None:
            self.crop = cut(picture, x, y, frame)

    def finish(self, number: int, is_target: bool) -> TrackLine:
        share = self.on / self.seen if self.seen else None
        points = np.array(self.points, np.float32).reshape(-1, 2)
        on, covered = (None, share) if is_target else (share, None)
        return TrackLine(number, self.frames, points, self.moving, on, covered, self.crop, is_target)


class _Story:
    """Where targets and tracks were in a sequence, and how they looked."""

    def __init__(self) -> None:
        self.picture: np.ndarray | None = None
        self._truth: dict[int, _Line] = {}
        self._tracks: dict[int, _Line] = {}

    def add(self, frame: int, tracks: Sequence[Track], boxes, ids, picture: np.ndarray | None) -> None:
        if self.picture is None:
            self.picture = picture
        shown = [track for track in tracks if track.confirmed]
        for track in shown:
            line = self._tracks.setdefault(track.id, _Line())
            line.add(frame, track.x, track.y, picture)
            line.moving |= track.motion is MotionState.MOVING
        if boxes is None:
            return
        inside = MotSequence().add([], boxes, shown)
        for track, on in zip(shown, np.any(inside, axis=0).tolist()):
            self._tracks[track.id].on += on
            self._tracks[track.id].seen += 1
        numbers = range(len(boxes)) if ids is None else ids.tolist()
        for number, (x, y, w, h), on in zip(numbers, boxes.tolist(), np.any(inside, axis=1).tolist()):
            line = self._truth.setdefault(number, _Line())
            line.add(frame, x + (w - 1) / 2, y + (h - 1) / 2, picture)
            line.on += on
            line.seen += 1

    def lines(self) -> tuple[list[TrackLine], list[TrackLine]]:
        """Of the targets and of the tracks."""
        truth = [line.finish(number, True) for number, line in sorted(self._truth.items())]
        return truth, [line.finish(number, False) for number, line in self._tracks.items()]
