"""Frames of a source through monitor, detector and follower, as the node does it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from dsad_core.detector import Detection, Detector
from dsad_core.frame.monitor import FrameKind, FrameMonitor
from dsad_core.tracking import Follower, Track
from dsad_tools.data.sample import Sample
from dsad_tools.data.sequence import DEFAULT_FPS

#: Stamps of a series that has only a rate start here: a stamp of 0 is not a time.
START_NS = 1_000_000_000


@dataclass(frozen=True)
class Followed:
    """One answered frame.

    Attributes:
        stamp_ns: the frame's own time, or its place in the series over the rate.
        track_ns: what camera motion and tracker took.
    """

    sample: Sample
    stamp_ns: int
    kind: FrameKind
    detection: Detection
    tracks: list[Track]
    track_ns: int


class Samples(Protocol):
    """What `follow` asks of a source: it need not end."""

    @property
    def fps(self) -> float | None: ...

    def __iter__(self) -> Iterator[Sample]: ...


def follow(
    source: Samples, detector: Detector, follower: Follower, limit: int | None = None
) -> Iterator[Followed]:
    """Answered frames in order.

    Args:
        follower: fresh; it has seen all frames at the end.
        limit: only the first so many; None for all.

    Raises:
        DataError, EngineError: the source or the engine failed.
    """
    fps = source.fps or DEFAULT_FPS
    monitor = FrameMonitor()
    for index, sample in enumerate(itertools.islice(source, limit)):
        stamp = sample.stamp_ns or START_NS + round(index * 1e9 / fps)
        kind = monitor.update(sample.image, stamp)
        detection = detector.detect(sample.image)
        begin = time.monotonic_ns()
        tracks = follower.update(
            sample.image,
            stamp,
            detection.targets,
            detection.mask,
            detection.logits,
            detector.threshold,
            kind,
            score=detector.score,
        )
        yield Followed(sample, stamp, kind, detection, tracks, time.monotonic_ns() - begin)
