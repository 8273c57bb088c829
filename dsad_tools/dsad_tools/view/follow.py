"""Frames of a source through monitor, detector and tracker, as the node does it."""

import itertools
import time
from collections.abc import Iterator

from dsad_core.detector import Detector
from dsad_core.frame.monitor import FrameMonitor
from dsad_core.tracking import Follower
from dsad_tools.data.sample import SampleSource
from dsad_tools.evaluate_tracks import DEFAULT_FPS, START_NS
from dsad_tools.view.viewer import View


def follow(source: SampleSource, detector: Detector, limit: int | None = None) -> Iterator[View]:
    """Answered frames in order, at the source's own times.

    Args:
        limit: only the first so many; None for all.

    Raises:
        DataError, EngineError: the source or the engine failed.
    """
    fps = source.fps or DEFAULT_FPS
    monitor, follower = FrameMonitor(), Follower()
    for index, sample in enumerate(itertools.islice(source, limit)):
        stamp = START_NS + round(index * 1e9 / fps)
        begin = time.monotonic_ns()
        kind = monitor.update(sample.image, stamp)
        monitored = time.monotonic_ns()
        found = detector.detect(sample.image)
        detected = time.monotonic_ns()
        tracks = follower.update(
            sample.image,
            stamp,
            found.targets,
            found.mask,
            found.logits,
            detector.threshold,
            kind,
            score=detector.score,
        )
        ended = time.monotonic_ns()
        yield View(
            stamp_ns=stamp,
            frame=sample.image,
            kind=kind,
            detection=found,
            tracks=tracks,
            boxes=sample.boxes,
            latency_ms=(detected - monitored) / 1e6,
            track_ms=(monitored - begin + ended - detected) / 1e6,
        )
