"""Trackers on the same detections: ours, a small one for scale, and libraries, frame by frame in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from dsad_core.detector import Detector
from dsad_core.errors import DataError
from dsad_core.metrics.latency import Percentiles, percentiles
from dsad_core.metrics.tracks import TrackResult
from dsad_core.targets import Target
from dsad_core.tracking import Follower, Motion, MotionState, Track, Tracker, TrackState
from dsad_tools.data.sample import Sample, SampleSource
from dsad_tools.data.sequence import DEFAULT_FPS
from dsad_tools.follow import follow
from dsad_tools.metrics.mot import MotFigures
from dsad_tools.metrics.track_score import TrackScorer

#: What every other tracker is given as patience: hits to confirm, and seconds without one to end.
HITS, COAST_S = 6, 0.6
#: Side of the boxes for trackers that pair by overlap, px: small targets' own boxes hardly overlap.
BOX_SIDE = 20.0


@dataclass(frozen=True)
class Given:
    """What a tracker gets of one frame; see `Tracker.update`."""

    sample: Sample
    stamp_ns: int
    targets: Sequence[Target]
    weak: Sequence[Target]
    motion: Motion | None
    is_scene: bool
    size: tuple[int, int]
    threshold: float
    corrected: bool


class FrameTracker(Protocol):
    """Follows one sequence."""

    def update(self, given: Given) -> list[Track]: ...


class Ours:
    """This suite's tracker, with what the follower gives it in a node; or without what lies below the threshold."""

    def __init__(self, weak: bool = True):
        self._tracker = Tracker()
        self._weak = weak

    def update(self, given: Given) -> list[Track]:
        return self._tracker.update(
            given.stamp_ns,
            given.targets,
            given.weak if self._weak else (),
            given.motion,
            is_scene=given.is_scene,
            size=given.size,
            threshold=given.threshold,
            corrected=given.corrected,
        )


class Nearest:
    """Constant velocity, nearest pairs first, confirmed by 6 hits in 8 frames: the least that is a tracker."""

    def __init__(self) -> None:
        self._tracks: list[dict[str, Any]] = []
        self._next_id = 1

    def update(self, given: Given) -> list[Track]:
        for track in self._tracks:
            track["place"] = track["place"] + track["step"]
        points = [np.array((target.x, target.y)) for target in given.targets]
        distances = sorted(
            (float(np.linalg.norm(track["place"] - point)), i, j)
            for i, track in enumerate(self._tracks)
            for j, point in enumerate(points)
        )
        paired: dict[int, int] = {}
        for distance, i, j in distances:
            if distance <= 15 and i not in paired and j not in paired.values():
                paired[i] = j
        for i, track in enumerate(self._tracks):
            if i in paired:
                error = points[paired[i]] - track["place"]
                track["place"], track["step"] = track["place"] + 0.6 * error, track["step"] + 0.2 * error
            track["hits"] = (track["hits"] + [i in paired])[-8:]
            track["missed"] = 0 if i in paired else track["missed"] + 1
            track["confirmed"] |= sum(track["hits"]) >= HITS
        self._tracks = [t for t in self._tracks if t["missed"] <= (18 if t["confirmed"] else 3)]
        for j in set(range(len(points))) - set(paired.values()):
            self._tracks.append(
                {
                    "id": self._next_id,
                    "place": points[j],
                    "step": np.zeros(2),
                    "hits": [True],
                    "missed": 0,
                    "confirmed": False,
                }
            )
            self._next_id += 1
        return [confirmed_at(t["id"], *t["place"]) for t in self._tracks if t["confirmed"]]


def confirmed_at(number: int, x: float, y: float) -> Track:
    """A confirmed track of which nothing but its place is known."""
    return Track(
        id=int(number),
        state=TrackState.CONFIRMED,
        motion=MotionState.UNKNOWN,
        age_s=0.0,
        hits=1,
        missed_s=0.0,
        x=float(x),
        y=float(y),
        vx=0.0,
        vy=0.0,
        covariance=np.eye(4),
        score=0.5,
        left=float(x),
        top=float(y),
        width=1.0,
        height=1.0,
        target=None,
    )


@dataclass
class Standing:
    """One tracker's figures: ``cost`` is its own processor time a frame in ms, the camera's motion left out."""

    name: str
    scorer: TrackScorer = field(default_factory=TrackScorer)
    spans: list[int] = field(default_factory=list)

    @property
    def result(self) -> TrackResult:
        return self.scorer.result()

    @property
    def mot(self) -> MotFigures | None:
        return self.scorer.mot()

    @property
    def cost(self) -> Percentiles | None:
        return percentiles(self.spans)


def compare_trackers(
    detector: Detector,
    sources: Sequence[SampleSource],
    contenders: Mapping[str, Callable[[float, float], FrameTracker]],
    limit: int | None = None,
    shown: Callable[[Sequence[SampleSource]], Iterable[SampleSource]] = iter,
) -> list[Standing]:
    """Run the detector once over every sequence, and every tracker on what it found.

    Args:
        contenders: by name, what makes a fresh tracker from a sequence's frames a second and the threshold.
        limit: frames of each sequence; None for all.
        shown: wraps the sequences, for a progress bar.

    Raises:
        DataError: a sequence holds no frame with boxes.
    """
    standings = [Standing(name) for name in contenders]
    for source in shown(sources):
        frames = list(givens(detector, source, limit))
        if not any(given.sample.boxes is not None for given in frames):
            raise DataError(f"{source.name} holds no frame with boxes: trackers are judged by them")
        fps = source.fps or DEFAULT_FPS
        for standing, make in zip(standings, contenders.values()):
            tracker = make(fps, detector.threshold)
            for given in frames:
                begin = time.thread_time_ns()
                tracks = tracker.update(given)
                standing.spans.append(time.thread_time_ns() - begin)
                sample = given.sample
                standing.scorer.add(given.stamp_ns, tracks, given.size, sample.boxes, sample.ids)
            standing.scorer.close(source.name, fps)
    return standings


def givens(detector: Detector, source: SampleSource, limit: int | None = None) -> Iterator[Given]:
    """What the follower gives its tracker, for each frame of a sequence."""
    follower, tape = Follower(), _Tape()
    follower.tracker = tape
    for each in follow(source, detector, follower, limit):
        stamp_ns, targets, weak, motion, _, is_scene, size, threshold, corrected = tape.given
        yield Given(each.sample, stamp_ns, targets, weak, motion, is_scene, size, threshold, corrected)


class _Tape(Tracker):
    """Follows nothing and keeps what the follower gave it last."""

    def update(self, *given: Any) -> list[Track]:
        self.given = given
        return []
