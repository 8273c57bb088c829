"""Score an engine's tracks on labelled sequences, offline: the same detector and follower as in the node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsad_core.detector import Detector
from dsad_core.errors import DataError, UsageError
from dsad_core.frame.monitor import FrameKind
from dsad_core.metrics.accumulator import DetectionAccumulator
from dsad_core.metrics.latency import LatencyStats
from dsad_core.tracking import Follower, TrackerSettings
from dsad_tools.data.sample import SampleSource
from dsad_tools.data.sequence import DEFAULT_FPS
from dsad_tools.follow import follow
from dsad_tools.metrics.track_run import TrackRun
from dsad_tools.metrics.track_score import TrackScorer


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
        self.tracks = TrackScorer()
        self.latency = LatencyStats()
        self.kinds = dict.fromkeys((kind.value for kind in FrameKind), 0)
        self.failures = 0
        self.notes: list[str] = []

    def follow(self, source: SampleSource, follower: Follower) -> None:
        empty = True
        for each in follow(source, self.detector, follower):
            empty = False
            self.kinds[each.kind.value] += 1
            self.latency.add(each.track_ns)
            sample = each.sample
            where = f"{source.name}, frame {sample.name}"
            if sample.boxes is None and sample.mask is not None:
                raise DataError(f"{where}: tracks are scored by boxes, this has a mask")
            try:
                if sample.boxes is not None:
                    self.detections.update(each.detection.components, boxes=sample.boxes)
                size = sample.image.shape
                self.tracks.add(each.stamp_ns, each.tracks, size, sample.boxes, sample.ids, sample.image)
            except UsageError as error:
                raise DataError(f"{where}: {error}") from error
        if empty:
            raise DataError(f"{source.name} holds no frame to evaluate")
        self.tracks.close(source.name, source.fps or DEFAULT_FPS)
        self.failures += follower.estimator.failures
        self.notes += source.notes

    def record(self) -> TrackRun:
        manifest = self.detector.engine.manifest
        return TrackRun(
            engine=manifest.name,
            engine_sha256=manifest.sha256,
            threshold=self.detector.threshold,
            detection=self.detections.result(),
            result=self.tracks.result(),
            mot=self.tracks.mot(),
            track_ms=self.latency.result(),
            kinds=self.kinds,
            motion_failures=self.failures,
            sequences=self.tracks.sequences,
            notes=self.notes,
        )
