"""``dsad evaluate ... --tracks``: figures of tracks over one sequence or a folder of them."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dsad_core.detector import Detector
from dsad_core.files import write_atomic
from dsad_tools.data.sequences import open_sequences
from dsad_tools.evaluate_tracks import TrackRun, evaluate_tracks
from dsad_tools.report.tracks import TRACKS_FILE, build_track_report


def run_tracks(
    detector: Detector,
    source: Path,
    clips: Path | None,
    low_threshold: float | None,
    json_path: Path | None,
    report: Path | None,
) -> TrackRun:
    """Evaluate, print and write; see the command's options."""
    sources = open_sequences(source, clips)
    columns = (TextColumn("sequences"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        run = evaluate_tracks(
            detector,
            sources,
            low_threshold=low_threshold,
            sources_shown=bar.track(sources, total=len(sources)),
        )
    if json_path is not None:
        write_atomic(json_path, json.dumps(run.to_dict(), indent=1, allow_nan=False) + "\n")
    if report is not None:
        build_track_report(report, run)
    _print(run, source, clips, json_path, report)
    return run


def _print(
    run: TrackRun, source: Path, clips: Path | None, json_path: Path | None, report: Path | None
) -> None:
    console = Console(highlight=False, markup=False)
    chosen = f" ({clips.name})" if clips else ""
    console.print(
        f"{run.engine} on {source.name}{chosen}: {len(run.sequences)} sequences, "
        f"{run.result.frames} frames scored; threshold {run.threshold:g}, matching box",
        soft_wrap=True,
    )
    table = Table("metric", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column("from")
    for name, value, origin in rows(run):
        table.add_row(name, value, origin)
    console.print(table)
    if run.mot is None:
        console.print("note: HOTA, IDF1 and MOTA need TrackEval: pip install trackeval")
    for note in run.notes:
        console.print(f"note: {note}", soft_wrap=True)
    for path in (json_path, report and report / TRACKS_FILE):
        if path:
            console.print(f"wrote {path}", soft_wrap=True)


def rows(run: TrackRun) -> list[tuple[str, str, str]]:
    """Name, value and origin of every figure, for the terminal and the report."""
    detection, result = run.detection, run.result
    figures = [
        ("single frame Pd", _figure(detection.pd, 3), f"{detection.hits} of {detection.targets} boxes"),
        (
            "single frame false alarms a frame",
            _figure(detection.false_targets / detection.frames if detection.frames else None, 3),
            f"{detection.false_targets} in {detection.frames} frames",
        ),
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
    ms = run.track_ms
    figures.append(("tracks and motion, ms", _figure(ms.p50, 2), f"p95 {ms.p95:.2f}, p99 {ms.p99:.2f}"))
    odd = ", ".join(f"{count} {kind}" for kind, count in run.kinds.items() if kind != "scene")
    figures.append(("frames of the scene", str(run.kinds["scene"]), odd))
    figures.append(("frames without a measured motion", str(run.motion_failures), ""))
    return figures


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
