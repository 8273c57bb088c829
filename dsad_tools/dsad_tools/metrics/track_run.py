"""A finished evaluation of tracks, offline or live: what the terminal, the JSON and the page are made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsad_core.metrics.accumulator import DetectionResult
from dsad_core.metrics.latency import Percentiles
from dsad_core.metrics.tracks import TrackResult
from dsad_tools.metrics.mot import MotFigures
from dsad_tools.metrics.track_score import SequenceTracks


@dataclass(frozen=True)
class TrackRun:
    """A finished evaluation of tracks.

    Attributes:
        detection: of the single frames, by boxes.
        result: of the tracks, over all sequences.
        mot: HOTA, IDF1 and MOTA; None where TrackEval is not installed.
        threshold: the mask's; None where nobody told it.
        track_ms: tracker and camera motion, a frame; None where nobody measured it.
        kinds: frames by what the monitor says of them.
        motion_failures: frames whose camera motion could not be measured.
    """

    engine: str
    engine_sha256: str
    threshold: float | None
    detection: DetectionResult
    result: TrackResult
    mot: MotFigures | None
    track_ms: Percentiles | None
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
            **self.figures(),
            "track_ms": None if self.track_ms is None else self.track_ms.to_dict(),
            "notes": self.notes,
        }

    def figures(self) -> dict:
        """Those of the tracks alone."""
        return {
            "tracks": self.result.to_dict(),
            "mot": None if self.mot is None else vars(self.mot),
            "kinds": self.kinds,
            "motion_failures": self.motion_failures,
            "sequences": [
                {"name": each.name, "frames": each.frames, "fps": each.fps} | each.result.to_dict()
                for each in self.sequences
            ],
        }


def rows(run: TrackRun) -> list[tuple[str, str, str]]:
    """Name, value and origin of every figure, for the terminal and the page."""
    detection = run.detection
    return [
        ("single frame Pd", _figure(detection.pd, 3), f"{detection.hits} of {detection.targets} boxes"),
        (
            "single frame false alarms a frame",
            _figure(detection.false_targets / detection.frames if detection.frames else None, 3),
            f"{detection.false_targets} in {detection.frames} frames",
        ),
        *track_rows(run),
    ]


def track_rows(run: TrackRun) -> list[tuple[str, str, str]]:
    """Those of the tracks alone."""
    result = run.result
    figures = [
        (
            "coverage by confirmed tracks",
            _figure(result.coverage, 3),
            f"{result.covered} of {result.points} boxes",
        ),
        (
            "false confirmed tracks a minute",
            _figure(result.false_a_minute, 2),
            f"{result.false_tracks} of {result.tracks} tracks in {result.seconds / 60:.1f} min",
        ),
        (
            "false moving tracks a minute",
            _figure(result.false_moving_a_minute, 2),
            f"{result.false_moving_tracks} in {result.seconds / 60:.1f} min",
        ),
        (
            "false points a frame",
            _figure(result.false_points / result.frames if result.frames else None, 3),
            f"{result.false_points} in {result.frames} frames",
        ),
        (
            "id switches a minute of target",
            _figure(result.switches_a_minute, 2),
            f"{result.switches} in {result.target_seconds / 60:.1f} min",
        ),
        (
            "median time to confirm, s",
            _figure(result.median_confirm_s, 2),
            f"{result.targets} targets, {result.never} never",
        ),
    ]
    if run.mot is not None:
        parts = f"DetA {run.mot.deta:.3f}, AssA {run.mot.assa:.3f}; on the box or not"
        figures += [
            ("HOTA", _figure(run.mot.hota, 3), parts),
            ("IDF1", _figure(run.mot.idf1, 3), ""),
            ("MOTA", _figure(run.mot.mota, 3), ""),
        ]
    if (ms := run.track_ms) is not None:
        figures.append(("tracks and motion, ms", _figure(ms.p50, 2), f"p95 {ms.p95:.2f}, p99 {ms.p99:.2f}"))
    odd = ", ".join(f"{count} {kind}" for kind, count in run.kinds.items() if kind != "scene")
    figures.append(("frames of the scene", str(run.kinds["scene"]), odd))
    figures.append(("frames without a measured motion", str(run.motion_failures), ""))
    return figures


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
