"""Score an engine's tracks on labelled sequences, offline: the same detector and follower as in the node."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from dsad_core.detector import Detector
from dsad_core.errors import DataError, UsageError
from dsad_core.frame.monitor import FrameKind, FrameMonitor
from dsad_core.metrics.accumulator import DetectionAccumulator
from dsad_core.metrics.latency import LatencyStats
from dsad_core.tracking import Follower, TrackerSettings
from dsad_tools.data.sample import SampleSource
from dsad_tools.metrics.track_run import TrackRun
from dsad_tools.metrics.track_score import TrackScorer

#: Stamps of an offline sequence start here: a stamp of 0 is not a time.
START_NS = 1_000_000_000
#: Where a source states no frame rate.
DEFAULT_FPS = 25.0


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
        fps = source.fps or DEFAULT_FPS
        monitor = FrameMonitor()
        index = -1
        for index, sample in enumerate(source):
            stamp = sample.stamp_ns or START_NS + round(index * 1e9 / fps)
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
                score=self.detector.score,
            )
            self.latency.add(time.monotonic_ns() - begin)
            if sample.boxes is None and sample.mask is not None:
                raise DataError(
                    f"{source.name}, frame {sample.name}: tracks are scored by boxes, this has a mask"
                )
            try:
                if sample.boxes is not None:
                    self.detections.update(detection.mask, boxes=sample.boxes)
                size = sample.image.shape
                self.tracks.add(stamp, tracks, size, sample.boxes, sample.ids, sample.image)
            except UsageError as error:
                raise DataError(f"{source.name}, frame {sample.name}: {error}") from error
        if index < 0:
            raise DataError(f"{source.name} holds no frame to evaluate")
        self.tracks.close(source.name, fps)
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
