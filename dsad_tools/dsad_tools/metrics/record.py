"""What is known of one frame, and of a whole run, once it has been joined and scored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from dsad_core.metrics.accumulator import DetectionResult
from dsad_core.metrics.counts import FrameCounts
from dsad_core.metrics.froc import FrocResult
from dsad_core.metrics.latency import Percentiles
from dsad_tools.metrics.frame_picture import FilmFrame, FramePicture
from dsad_tools.metrics.track_run import TrackRun


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame of a run.

    Attributes:
        name: of the sample, or the stamp of the frame in seconds.
        stamp_ns: of the frame's header; in an offline run the frame's number.
        answered: False when the detector gave no mask.
        counts: None when the frame is unlabelled or was not answered.
        stages_ns: durations by stage name; empty where no timing arrived.
        published_ns: when the answer went out, on the detector's steady clock; None without timing.
    """

    name: str
    stamp_ns: int
    answered: bool
    counts: FrameCounts | None = None
    stages_ns: dict[str, int] = field(default_factory=dict)
    published_ns: int | None = None

    @property
    def latency_ns(self) -> int | None:
        """Sum of the stages; None without timing."""
        return sum(self.stages_ns.values()) if self.stages_ns else None

    def to_dict(self) -> dict:
        record = {"name": self.name, "stamp_ns": self.stamp_ns, "answered": self.answered}
        if self.counts is not None:
            record |= asdict(self.counts)
        if self.stages_ns:
            record["latency_ms"] = {name: ns / 1e6 for name, ns in self.stages_ns.items()}
        return record


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a printed figure must carry for it to mean something. Empty values are not known.

    ``started`` is an ISO 8601 time; ``machine`` comes from `dsad_core.machine.machine_facts`.
    """

    engine: str = ""
    engine_sha256: str = ""
    platform: str = ""
    runtime: str = ""
    threshold: float | None = None
    outline: float | None = None
    precision: str = ""
    self_test: str = ""
    matching: str = ""
    source: str = ""
    split: str = ""
    split_hash: str = ""
    started: str = ""
    machine: Mapping[str, object] = field(default_factory=dict)

    @property
    def thresholds(self) -> str:
        """For people: the threshold, and the outline where it is another."""
        if self.threshold is None:
            return ""
        same = self.outline is None or self.outline == self.threshold
        return f"{self.threshold:g}" if same else f"{self.threshold:g}, outlines {self.outline:g}"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A finished run, offline or live: what the report and the JSON are made from.

    Attributes:
        counters: further whole-run integers by name, e.g. frames missed, dropped, lost.
        latency: percentiles by stage, `TOTAL` last.
        latencies_ms: whole latency of the answered frames, in the order of the run (an even sample of a
            very long one).
        frames: the newest frames, oldest first; ``counters["frames"]`` says how many there were.
        film: small frames spread over the run, for the report's player.
        froc: how the scores of peaks order; None where no frame is labelled, and in a live run.
        tracks: of a live run whose detector tracks.
    """

    title: str
    facts: RunFacts
    result: DetectionResult
    counters: dict[str, int]
    frame_rate: float | None
    latency: dict[str, Percentiles]
    latencies_ms: np.ndarray
    frames: list[FrameRecord]
    pictures: list[FramePicture] = field(default_factory=list)
    film: list[FilmFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    froc: FrocResult | None = None
    tracks: TrackRun | None = None

    def to_dict(self) -> dict:
        """Everything but pictures and film, ready for JSON."""
        return {
            "title": self.title,
            "run": asdict(self.facts),
            "metrics": self.result.to_dict(),
            **({"froc": asdict(self.froc)} if self.froc else {}),
            **({"tracks": self.tracks.figures()} if self.tracks else {}),
            "counters": self.counters,
            "frame_rate": self.frame_rate,
            "latency_ms": {stage: figures.to_dict() for stage, figures in self.latency.items()},
            "notes": self.notes,
            "frames": [frame.to_dict() for frame in self.frames],
        }
