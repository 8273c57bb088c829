"""Figures of a running detector: over the newest frames, and over the whole run."""

import datetime
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dsad_core.errors import UsageError
from dsad_core.frame.timing import STAGES, TOTAL, FrameTimes
from dsad_core.metrics.accumulator import DetectionAccumulator, DetectionResult
from dsad_core.metrics.counts import FrameCounts, Matching
from dsad_core.metrics.latency import LatencyStats, Percentiles, RateMeter, percentiles
from dsad_core.metrics.tracks import TrackResult
from dsad_tools.metrics.joiner import FrameJoiner, JoinedFrame, Part
from dsad_tools.metrics.live_tracks import LiveTracks
from dsad_tools.metrics.pictures import PictureCollector
from dsad_tools.metrics.record import FrameRecord, RunFacts, RunRecord

HISTORY = 20_000
"""Newest frames whose records are kept for the report's time line."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures over a set of frames: scored, unlabelled and missed ones."""

    result: DetectionResult
    frames_unlabelled: int
    frames_missed: int
    frame_rate: float | None
    latency: Percentiles | None


class LiveMetrics:
    """Joins, scores and counts what a detector and its source publish.

    ``matching`` holds for truth masks. Where the first truth of a run is boxes, the run is scored by
    ``box``; truth of the other kind is then refused, for one figure cannot mix the two.

    Args:
        matching: ``nearest``, ``dnanet`` or ``box``.
        window: newest frames, answered or missed, that `window` covers.
        join_timeout_ns: see `FrameJoiner`.
        pictures: frames to be kept for the report; 0 for none.
        on_refusal: called with the reason, in one line, whenever something is refused.
    """

    def __init__(
        self,
        matching: Matching,
        window: int,
        join_timeout_ns: int,
        pictures: int = 0,
        on_refusal: Callable[[str], None] = lambda reason: None,
    ):
        self.joiner = FrameJoiner(join_timeout_ns)
        self._on_refusal = on_refusal
        self._configured_matching = matching
        self._window_frames = window
        self._picture_count = pictures
        self._detector_last: dict[str, int] = {}
        self._detector_activated = -1
        self._activations: deque[int] = deque(maxlen=16)
        self._jumps_seen = 0
        self.reset()

    def reset(self) -> None:
        """Start a new run. Frames that are still awaited will belong to it."""
        self._total = DetectionAccumulator(self._configured_matching)
        self._window: deque[FrameRecord] = deque(maxlen=self._window_frames)
        self._history: deque[FrameRecord] = deque(maxlen=HISTORY)
        self._latency = {stage: LatencyStats() for stage in (*STAGES, TOTAL)}
        self._rate = RateMeter()
        self._last_published: int | None = None
        self._pictures = PictureCollector(self._picture_count)
        self._tracks = LiveTracks()
        self.counters: Counter[str] = Counter()
        self.joiner.late.clear()
        self.joiner.unstamped = 0
        self._jumps_at_reset = self.joiner.jumps
        self.newest_stamp_ns = 0
        self.refusal = ""
        self._started = datetime.datetime.now(datetime.timezone.utc)

    @property
    def matching(self) -> Matching:
        """In effect: ``box`` once the run's truth has turned out to be boxes."""
        return self._total.matching

    def put(self, stamp_ns: int, part: Part, value, now_ns: int) -> None:
        """Take one part of a frame (see `FrameJoiner.put`) and count what it finishes."""
        if part == "timing":
            self._time(value)
        self._take(self.joiner.put(stamp_ns, part, value, now_ns))

    def put_image(self, stamp_ns: int, image: np.ndarray) -> None:
        """Offer a frame (H, W) for the report's pictures."""
        self._pictures.put_image(stamp_ns, image)

    @property
    def images_held(self) -> int:
        """Frames kept in wait for their answer."""
        return self._pictures.images_held

    def put_detector_counters(self, activated: int, **values: int) -> None:
        """Follow counters that the detector keeps since its activation, through its restarts.

        Args:
            activated: when they began, on the detector's clock. Messages may overtake each other: within one
                activation the highest value holds, and one of an earlier activation is passed over.
        """
        if activated < self._detector_activated and activated in self._activations:
            return
        if activated != self._detector_activated:
            self._detector_activated, self._detector_last = activated, {}
            self._activations.append(activated)
        for name, value in values.items():
            last = self._detector_last.get(name, 0)
            if value > last:
                self.counters[name] += value - last
                self._detector_last[name] = value

    def refuse(self, what: str, reason: str) -> None:
        """Count a malformed ``truth``, ``mask``, ``timing`` or ``tracks``; ``refusal`` keeps the newest reason."""
        self.counters[f"{what}_refused"] += 1
        self.refusal = reason
        self._on_refusal(reason)

    def expire(self, now_ns: int) -> None:
        """Count the frames whose time is up."""
        self._take(self.joiner.expire(now_ns))

    def drain(self) -> None:
        """Count every frame still awaited, as it is."""
        self._take(self.joiner.drain())

    def window(self) -> Summary:
        """Over the newest frames. Empty after a jump back of the frames' clock."""
        accumulator, rate, latencies = DetectionAccumulator(self.matching), RateMeter(), []
        unlabelled = missed = 0
        for record in self._window:
            missed += not record.answered
            if record.counts is not None:
                accumulator.add(record.counts)
            elif record.answered:
                unlabelled += 1
            if record.latency_ns is not None:
                latencies.append(record.latency_ns)
        for published in sorted(r.published_ns for r in self._window if r.published_ns is not None):
            rate.add(published)
        return Summary(accumulator.result(), unlabelled, missed, rate.rate(), percentiles(latencies))

    def total(self) -> Summary:
        """Over the whole run."""
        return Summary(
            self._total.result(),
            self.counters["frames_unlabelled"],
            self.counters["frames_missed"],
            self._rate.rate(),
            self._latency[TOTAL].result(),
        )

    def tracks(self) -> TrackResult:
        """Of the tracks over the whole run; of frames labelled by boxes alone."""
        return self._tracks.result()

    @property
    def frames_without_tracks(self) -> int:
        """Answered and labelled frames that the tracker passed over."""
        return self._tracks.untracked

    def run_record(self, title: str, facts: RunFacts, notes: list[str]) -> RunRecord:
        """The run so far, for the report. ``facts.started`` and ``facts.matching`` are filled in here."""
        facts = replace(facts, started=self._started.isoformat(timespec="seconds"), matching=self.matching)
        latency = {stage: stats.result() for stage, stats in self._latency.items()}
        tracks = self._tracks.run(facts, self._total.result(), notes) if self._tracks.frames else None
        names = (
            "frames", "frames_unlabelled", "frames_missed", "frames_dropped", "frames_lost", "frames_refused",
            "truth_refused", "mask_refused", "timing_refused", "tracks_refused",
        )  # fmt: skip
        counters = {name: self.counters[name] for name in names} | self.joined_counters()
        if tracks is not None:
            counters["frames_without_tracks"] = self._tracks.untracked
        return RunRecord(
            title=title,
            facts=facts,
            result=self._total.result(),
            counters=counters,
            frame_rate=self._rate.rate(),
            latency={stage: figures for stage, figures in latency.items() if figures is not None},
            latencies_ms=self._latency[TOTAL].durations_ms(),
            frames=list(self._history),
            pictures=self._pictures.result(),
            film=self._pictures.film(),
            notes=notes,
            tracks=tracks,
        )

    def joined_counters(self) -> dict[str, int]:
        """What joining could not do: late parts, frames without a stamp, and jumps of their clock."""
        late = self.joiner.late
        return {
            "masks_late": late["mask"],
            "truth_late": late["truth"] + late["boxes"],
            "frames_unstamped": self.joiner.unstamped,
            "clock_jumps": self.joiner.jumps - self._jumps_at_reset,
        }

    def _take(self, frames: list[JoinedFrame]) -> None:
        if self.joiner.jumps != self._jumps_seen:
            self._jumps_seen = self.joiner.jumps
            self._window.clear()
        for frame in frames:
            self._tracks.put(frame, self._pictures.image(frame.stamp_ns))
            self._count(frame)
        try:
            self._tracks.score(before=self.joiner.oldest_pending())
        except UsageError as error:
            self.refuse("truth", str(error))

    def _time(self, timing: FrameTimes) -> None:
        for stage, duration in timing.durations().items():
            self._latency[stage].add(duration)
        self._latency[TOTAL].add(timing.published - timing.received)
        if self._last_published is not None and timing.published < self._last_published:
            # The detector runs on another clock now: no rate spans the two.
            self._window.clear()
        self._last_published = timing.published
        self._rate.add(timing.published)

    def _count(self, frame: JoinedFrame) -> None:
        # A frame without a stamp has no mask to join, but its timing proves the answer.
        answered = frame.answered or frame.stamp_ns == 0
        record = FrameRecord(
            name=f"{frame.stamp_ns // 10**9}.{frame.stamp_ns % 10**9:09d}",
            stamp_ns=frame.stamp_ns,
            answered=answered,
            counts=self._score(frame),
            stages_ns=frame.timing.durations() if frame.timing else {},
            published_ns=frame.timing.published if frame.timing else None,
        )
        self.counters["frames"] += 1
        self.counters["frames_missed"] += not answered
        self.counters["frames_unlabelled"] += answered and record.counts is None
        self.newest_stamp_ns = frame.stamp_ns
        self._window.append(record)
        self._history.append(record)
        self._pictures.put_answer(record.name, frame, record.counts)

    def _score(self, frame: JoinedFrame) -> FrameCounts | None:
        mask, truth, boxes = frame.mask, frame.truth, frame.boxes
        if mask is None or (truth is None and boxes is None):
            return None
        if truth is None or self.matching != "box":
            boxes = boxes if truth is None else None
        if boxes is not None and self._total.frames == 0:
            self._total = DetectionAccumulator("box")
        try:
            if boxes is None:
                return self._total.update(mask, truth)
            if boxes.size != mask.shape:
                raise UsageError(f"boxes are of a frame of {boxes.size}, the mask is {mask.shape}")
            return self._total.update(mask, boxes=boxes.boxes)
        except UsageError as error:
            self.refuse("truth", str(error))
            return None
