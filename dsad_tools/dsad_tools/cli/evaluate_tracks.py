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
from dsad_tools.evaluate_tracks import evaluate_tracks
from dsad_tools.metrics.track_run import TrackRun, rows
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
