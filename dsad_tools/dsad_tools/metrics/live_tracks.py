"""Tracks of a running detector, scored in the order of their time."""

from __future__ import annotations

import copy
import heapq
from collections import Counter

import numpy as np

from dsad_core.errors import UsageError
from dsad_core.frame.monitor import FrameKind
from dsad_core.metrics.accumulator import DetectionResult
from dsad_core.metrics.tracks import TrackResult
from dsad_tools.metrics.joiner import JoinedFrame
from dsad_tools.metrics.record import RunFacts
from dsad_tools.metrics.track_run import TrackRun
from dsad_tools.metrics.track_score import TrackScorer


class LiveTracks:
    """Takes joined frames as they are finished, and hands them to a `TrackScorer` in the order of their stamps.

    A new pass of a looping bag and a new activation of the detector, which counts its ids anew, begin a sequence.

    Attributes:
        untracked: answered and labelled frames whose tracks never came, because the tracker was busy.
        out_of_order: frames that came after a later one was scored, and so were not.
    """

    def __init__(self) -> None:
        self.untracked = 0
        self.out_of_order = 0
        self._scorer = TrackScorer()
        self._kinds: Counter[str] = Counter()
        self._failures = 0
        self._waiting: list[tuple[tuple[int, int], int, JoinedFrame, np.ndarray | None]] = []
        self._taken = 0
        self._last: tuple[tuple[int, int], int] | None = None

    def put(self, frame: JoinedFrame, picture: np.ndarray | None) -> None:
        """Take a finished frame, with its picture (H, W) where that is at hand."""
        if frame.tracks is None:
            self.untracked += frame.follow is not None and frame.boxes is not None
            return
        self._taken += 1
        heapq.heappush(self._waiting, (frame.key, self._taken, frame, picture))

    def score(self, before: tuple[int, int] | None) -> None:
        """Score the frames that come before the key of a frame still awaited; all where that is None.

        Raises:
            UsageError: the labels of a frame contradict each other; the frame is left out.
        """
        while self._waiting and (before is None or self._waiting[0][0] < before):
            key, _, frame, picture = heapq.heappop(self._waiting)
            self._score(key, frame, picture)

    def result(self) -> TrackResult:
        """Figures so far."""
        return self._scorer.result()

    @property
    def frames(self) -> int:
        """Frames scored or waiting to be."""
        return self._taken

    def run(self, facts: RunFacts, detection: DetectionResult, notes: list[str]) -> TrackRun:
        """The run so far; a sequence that is open goes on."""
        scorer = copy.deepcopy(self._scorer)
        _close(scorer, facts.source)
        kinds = {kind.value: self._kinds[kind.value] for kind in FrameKind}
        return TrackRun(
            engine=facts.engine,
            engine_sha256=facts.engine_sha256,
            threshold=facts.threshold,
            detection=detection,
            result=scorer.result(),
            mot=scorer.mot(),
            track_ms=None,
            kinds=kinds,
            motion_failures=self._failures,
            sequences=scorer.sequences,
            notes=notes,
        )

    def _score(self, key: tuple[int, int], frame: JoinedFrame, picture: np.ndarray | None) -> None:
        if frame.tracks is None:
            return
        activated = frame.follow or (self._last[1] if self._last else 0)
        if self._last is not None and key <= self._last[0]:
            self.out_of_order += 1
            return
        if self._last is not None and (key[0], activated) != (self._last[0][0], self._last[1]):
            _close(self._scorer, "")
        self._last = key, activated
        told, labels = frame.tracks, frame.boxes
        self._kinds[told.kind] += 1
        self._failures = max(self._failures, told.motion_failures)
        if labels is not None and labels.size != told.size:
            raise UsageError(f"boxes are of a frame of {labels.size}, the tracks of {told.size}")
        boxes, ids = (labels.boxes, labels.ids) if labels is not None else (None, None)
        self._scorer.add(frame.stamp_ns, told.tracks, told.size, boxes, ids, picture)


def _close(scorer: TrackScorer, name: str) -> None:
    number = len(scorer.sequences) + 1
    scorer.close(name if number == 1 and name else f"{name} sequence {number}".strip())
