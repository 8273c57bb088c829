"""Score an engine's tracks on labelled sequences, offline: the same detector and follower as in the node."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dsad_tools.data.sample import SampleSource
from dsad_core.detector import Detector
from dsad_core.errors import DataError, UsageError
from dsad_core.frame.monitor import FrameKind, FrameMonitor
from dsad_core.metrics.accumulator import DetectionAccumulator, DetectionResult
from dsad_core.metrics.latency import LatencyStats, Percentiles
from dsad_tools.metrics.mot import MotFigures, MotSequence, mot_figures
from dsad_core.metrics.tracks import TrackAccumulator, TrackResult
from dsad_core.tracking import Follower, Track, TrackerSettings

#: Stamps of an offline sequence start here: a stamp of 0 is not a time.
START_NS = 1_000_000_000
#: Where a source states no frame rate.
DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class TrackLine:
    """A target or a track through a sequence, for the report.

    Attributes:
        id: of the target or the track.
        frames: frame numbers in which it was there (a track: confirmed or coasting).
        points: (len(frames), 2) float32 centres, pixels.
        moving: the track was called moving in at least one frame.
        on_target: share of its labelled frames on a target; None for a target and where nothing was labelled.
    """

    id: int
    frames: list[int]
    points: np.ndarray
    moving: bool = False
    on_target: float | None = None


@dataclass(frozen=True)
class SequenceTracks:
    """One sequence's figures and lines."""

    name: str
    frames: int
    fps: float
    size: tuple[int, int]
    result: TrackResult
    truth: list[TrackLine]
    tracks: list[TrackLine]
    picture: np.ndarray | None = None


@dataclass(frozen=True)
class TrackRun:
    """A finished evaluation of tracks.

    Attributes:
        detection: of the single frames, by boxes.
        result: of the tracks, over all sequences.
        mot: HOTA, IDF1 and MOTA; None where TrackEval is not installed.
        track_ms: tracker and camera motion, a frame.
        kinds: frames by what the monitor says of them.
        motion_failures: frames whose camera motion could not be measured.
    """

    engine: str
    engine_sha256: str
    threshold: float
    detection: DetectionResult
    result: TrackResult
    mot: MotFigures | None
    track_ms: Percentiles
    kinds: dict[str, int]
    motion_failures: int
    sequences: list[SequenceTracks]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict:
        """Figures of the whole and of each sequence, ready for JSON."""
        return {
            "engine": self.engine,
            "engine_sha256": self.engine_sha256,
            "threshold": self.threshold,
            "matching": "box",
            "detection": self.detection.to_dict(),
            "tracks": self.result.to_dict(),
            "mot": None if self.mot is None else vars(self.mot),
            "track_ms": self.track_ms.to_dict(),
            "kinds": self.kinds,
            "motion_failures": self.motion_failures,
            "notes": self.notes,
            "sequences": [
                {"name": each.name, "frames": each.frames, "fps": each.fps} | each.result.to_dict()
                for each in self.sequences
            ],
        }


def evaluate_tracks(
    detector: Detector,
    sources: Sequence[SampleSource],
    settings: TrackerSettings | None = None,
    low_threshold: float | None = None,
    camera: str = "estimate",
    sources_shown: Iterable[SampleSource] | None = None,
) -> TrackRun:
    """Run a detector and a fresh follower over every sequence and score tracks against labelled boxes.

    Args:
        detector: with its engine loaded; left open.
        sources: sequences with boxes; frames without labels are run and not scored.
        settings, low_threshold, camera: see `Follower`.
        sources_shown: the same sources wrapped in a progress bar.

    Raises:
        UsageError: no source.
        DataError: a frame has a mask and no boxes, or its labels cannot be scored.
    """
    if not sources:
        raise UsageError("no sequence to evaluate")
    run = _Run(detector)
    for source in sources_shown or sources:
        run.follow(source, Follower(settings, low_threshold, camera))
    return run.record()


class _Run:
    def __init__(self, detector: Detector):
        self.detector = detector
        self.detections = DetectionAccumulator("box")
        self.tracks = TrackAccumulator()
        self.latency = LatencyStats()
        self.kinds = dict.fromkeys((kind.value for kind in FrameKind), 0)
        self.failures = 0
        self.sequences: list[SequenceTracks] = []
        self.mot: list[MotSequence] = []
        self.notes: list[str] = []

    def follow(self, source: SampleSource, follower: Follower) -> None:
        fps = source.fps or DEFAULT_FPS
        monitor, counts, story = FrameMonitor(), TrackAccumulator(), _Story()
        index = -1
        for index, sample in enumerate(source):
            stamp = START_NS + round(index * 1e9 / fps)
            kind = monitor.update(sample.image, stamp)
            self.kinds[kind.value] += 1
            detection = self.detector.detect(sample.image)
            begin = time.monotonic_ns()
            tracks = follower.update(
                sample.image,
                stamp,
                detection.targets,
                detection.mask,
                detection.logits,
                self.detector.threshold,
                kind,
            )
            self.latency.add(time.monotonic_ns() - begin)
            if sample.boxes is None and sample.mask is not None:
                raise DataError(
                    f"{source.name}, frame {sample.name}: tracks are scored by boxes, this has a mask"
                )
            try:
                if sample.boxes is not None:
                    self.detections.update(detection.mask, boxes=sample.boxes)
                counts.update(stamp, tracks, sample.boxes, sample.ids)
            except UsageError as error:
                raise DataError(f"{source.name}, frame {sample.name}: {error}") from error
            story.add(index, sample, tracks)
        if index < 0:
            raise DataError(f"{source.name} holds no frame to evaluate")
        counts.close()
        self.tracks.merge(counts)
        self.failures += follower.estimator.failures
        self.notes += source.notes
        self.mot.append(story.mot)
        self.sequences.append(story.finish(source.name, index + 1, fps, counts.result()))

    def record(self) -> TrackRun:
        manifest = self.detector.engine.manifest
        return TrackRun(
            engine=manifest.name,
            engine_sha256=manifest.sha256,
            threshold=self.detector.threshold,
            detection=self.detections.result(),
            result=self.tracks.result(),
            mot=mot_figures(self.mot),
            track_ms=self.latency.result(),
            kinds=self.kinds,
            motion_failures=self.failures,
            sequences=self.sequences,
            notes=self.notes,
        )


class _Story:
    """Where targets and tracks were in a sequence."""

    def __init__(self) -> None:
        self.mot = MotSequence()
        self._truth: dict[int, list[tuple[int, float, float]]] = {}
        self._tracks: dict[int, list[tuple[int, float, float]]] = {}
        self._moving: set[int] = set()
        self._on: dict[int, list[int]] = {}
        self._picture: np.ndarray | None = None

    def add(self, index: int, sample, tracks: Sequence[Track]) -> None:
        if self._picture is None:
            self._picture = sample.image
        shown = [track for track in tracks if track.confirmed]
        for track in shown:
            self._tracks.setdefault(track.id, []).append((index, track.x, track.y))
            if track.motion.value == "moving":
                self._moving.add(track.id)
        if sample.boxes is None:
            return
        ids = range(len(sample.boxes)) if sample.ids is None else sample.ids.tolist()
        for number, (x, y, w, h) in zip(ids, sample.boxes.tolist()):
            self._truth.setdefault(number, []).append((index, x + (w - 1) / 2, y + (h - 1) / 2))
        inside = self.mot.add(list(ids), sample.boxes, shown)
        for track, on in zip(shown, inside.any(axis=0).tolist()):
            seen = self._on.setdefault(track.id, [0, 0])
            seen[0] += on
            seen[1] += 1

    def finish(self, name: str, frames: int, fps: float, result: TrackResult) -> SequenceTracks:
        lines = []
        for number, points in self._tracks.items():
            on, seen = self._on.get(number, (0, 0))
            share = on / seen if seen else None
            lines.append(_line(number, points, number in self._moving, share))
        truth = [_line(number, points) for number, points in sorted(self._truth.items())]
        size = self._picture.shape
        return SequenceTracks(name, frames, fps, size, result, truth, lines, self._picture)


def _line(number: int, points: list, moving: bool = False, on_target: float | None = None) -> TrackLine:
    places = np.array([point[1:] for point in points], np.float32).reshape(-1, 2)
    return TrackLine(number, [point[0] for point in points], places, moving, on_target)
