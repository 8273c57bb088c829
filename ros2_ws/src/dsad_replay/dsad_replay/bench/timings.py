"""From dsad_msgs FrameTiming to the figures of one case. Knows no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dsad_core.frame.timing import MOMENTS, STAGES
from dsad_core.metrics.latency import Percentiles, percentiles

#: Stages that the node adds to the engine's inference; waiting in the queue is apart.
OVERHEAD = ("decode", "preprocess", "postprocess", "publish")


@dataclass(frozen=True)
class Case:
    """What is measured.

    Args:
        width, height: of the frames, pixels.
        encoding: mono8 or mono16.
        rate: frames a second; None for as fast as they are answered.
    """

    width: int
    height: int
    encoding: str
    rate: float | None

    @property
    def title(self) -> str:
        """Such as ``640x512 mono16, 25 Hz``."""
        pace = "free-running" if self.rate is None else f"{self.rate:g} Hz"
        return f"{self.width}x{self.height} {self.encoding}, {pace}"


@dataclass(frozen=True)
class Block:
    """Answers without a break between them.

    Args:
        before: FrameTiming of the answer before them, from which counters count.
        answers: FrameTiming of each.
    """

    before: Any
    answers: Sequence[Any]


@dataclass
class Timings:
    """What was measured of one case.

    Args:
        blocks: the answers.
        engine_ns: durations of the engine alone, measured in turn with the blocks.
    """

    blocks: list[Block] = field(default_factory=list)
    engine_ns: list[int] = field(default_factory=list)

    def durations(self, begin: str, end: str) -> list[int]:
        """Nanoseconds between two instants of every frame."""
        return [getattr(m, end) - getattr(m, begin) for block in self.blocks for m in block.answers]

    def stage(self, name: str) -> Percentiles | None:
        """Of one stage, of ``latency`` (received to published) or of ``overhead``.

        The overhead is everything the node does for a frame except inference. The queue is
        apart: in free-running a frame waits for the one before it by design.
        """
        if name == "latency":
            return percentiles(self.durations("received", "published"))
        spans = {stage: self.durations(*ends) for stage, *ends in zip(STAGES, MOMENTS, MOMENTS[1:])}
        if name == "overhead":
            return percentiles([sum(parts) for parts in zip(*(spans[stage] for stage in OVERHEAD))])
        return percentiles(spans[name])

    def count(self, counter: str) -> int:
        """By how much one of FrameTiming's counters rose within the blocks."""
        blocks = [block for block in self.blocks if block.answers]
        return sum(getattr(block.answers[-1], counter) - getattr(block.before, counter) for block in blocks)

    @property
    def rate(self) -> float | None:
        """Answered frames a second; None for less than two."""
        blocks = [block.answers for block in self.blocks if len(block.answers) > 1]
        span = sum(answers[-1].published - answers[0].published for answers in blocks)
        return sum(len(answers) - 1 for answers in blocks) * 1e9 / span if span else None

    @property
    def engine_rate(self) -> float | None:
        """Inferences a second of the engine alone; None where it was not measured."""
        return len(self.engine_ns) * 1e9 / sum(self.engine_ns) if self.engine_ns else None

    def summary(self) -> dict:
        """All figures in plain types."""
        rate, engine_rate = self.rate, self.engine_rate
        names = [*STAGES, "overhead", "latency"]
        figures = {name: self.stage(name) for name in names}
        return {
            "sent": self.count("frames_received") + self.count("frames_lost"),
            "answered": self.count("frames_answered"),
            "dropped": self.count("frames_dropped"),
            "lost": self.count("frames_lost"),
            "rate": rate,
            "engine_rate": engine_rate,
            "rate_ratio": rate / engine_rate if rate and engine_rate else None,
            "milliseconds": {name: each.to_dict() for name, each in figures.items() if each},
        }
