"""The detector's state of health as one diagnostic status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dsad_common.diagnostics import ERROR, OK, WARN, Report
from dsad_core.detector import Detector
from dsad_detector.counters import Counters

#: Kinds of problems that mean no answer, whatever the frame.
ENGINE_FAULTS = {"engine", "not_finite"}


@dataclass(frozen=True)
class DetectorStatus:
    """All that the status is made from.

    Attributes:
        state: of the lifecycle.
        fault: why the last transition failed, in one line; empty if it did not.
        detector: None while unconfigured.
        counters: of this or the latest activation.
        topic: full name of the image topic.
        publishers: full names of the nodes that publish on it.
        silence: seconds since the last frame, or since the activation.
        stale_timeout: seconds of silence that are worth a warning.
        warnings: what went wrong lately, by kind.
        frame_kinds: frames that show no scene, by kind.
        doing: what *configure* is at.
        drop_share, drop_warn_share: of the newest frames, and what is worth a warning.
        reliability: of the subscription to frames.
    """

    state: str
    fault: str
    detector: Detector | None
    counters: Counters
    topic: str
    publishers: Sequence[str]
    silence: float
    stale_timeout: float
    warnings: Mapping[str, str]
    frame_kinds: Mapping[str, int] = field(default_factory=dict)
    doing: str = ""
    drop_share: float = 0.0
    drop_warn_share: float = 1.0
    reliability: str = ""

    def report(self) -> Report:
        """Level, one-line summary and facts."""
        warnings = [*self._input_warnings(), *self.warnings.values()]
        if self.fault:
            return ERROR, self.fault, self._facts()
        if warnings:
            return (
                (ERROR if ENGINE_FAULTS & self.warnings.keys() else WARN),
                "; ".join(warnings),
                self._facts(),
            )
        return OK, self._summary(), self._facts()

    def _input_warnings(self) -> list[str]:
        if self.state != "active":
            return []
        warnings = []
        if self.silence > self.stale_timeout:
            reason = "" if self.publishers else ", it has no publisher"
            warnings.append(f"no frame on {self.topic} for {self.silence:.1f} s{reason}")
        if self.drop_share > self.drop_warn_share:
            warnings.append(
                f"{self.drop_share:.0%} of the newest frames were dropped: the engine is too slow for the camera"
            )
        if len(self.publishers) > 1:
            names = ", ".join(self.publishers)
            warnings.append(
                f"{len(self.publishers)} publishers on {self.topic}: {names}; their frames "
                "are answered in turn, lost ones are not counted"
            )
        return warnings

    def _summary(self) -> str:
        if self.state != "active":
            return f"{self.state}: {self.doing}" if self.doing else self.state
        counters = self.counters
        text = f"active, {counters.answered} of {counters.received} frames answered"
        return text + (f", {counters.dropped} dropped while busy" if counters.dropped else "")

    def _facts(self) -> dict[str, object]:
        counters = self.counters
        facts: dict[str, object] = {"state": self.state}
        if self.detector is not None:
            engine = self.detector.engine
            facts |= {
                "engine": engine.manifest.name,
                "engine_sha256": engine.manifest.sha256,
                "target": engine.platform,
                "backend": engine.backend,
                "precision": engine.precision,
                "runtime": engine.description,
                "threshold": self.detector.threshold,
            }
        facts |= {
            "input": counters.last_frame,
            "publishers": ", ".join(self.publishers),
            "reliability": self.reliability,
            "frames_received": counters.received,
            "frames_answered": counters.answered,
            "frames_dropped": counters.dropped,
            "frames_lost": counters.lost,
            "frames_lost_by_number": counters.lost_by_number,
            "frames_lost_by_transport": counters.lost_by_transport,
            "frames_refused": counters.refused_total,
        }
        facts |= {f"refused_{reason}": count for reason, count in sorted(counters.refused.copy().items())}
        facts |= {f"frames_{kind}": count for kind, count in sorted(self.frame_kinds.items())}
        facts |= {
            "deadline_misses": counters.late,
            "targets_cut": counters.targets_cut,
            "size_changes": counters.size_changes,
        }
        return facts
