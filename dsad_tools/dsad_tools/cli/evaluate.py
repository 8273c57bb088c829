"""``dsad evaluate``: score an engine on labelled frames, without ROS."""

from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.table import Table

from dsad_core.cli.options import BACKEND_HELP, PLATFORM_HELP
from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.platform import Backend
from dsad_core.errors import UsageError
from dsad_core.frame.geometry import parse_size
from dsad_core.metrics.counts import MATCHINGS, Matching
from dsad_tools.cli.evaluate_tracks import run_tracks
from dsad_tools.data.grid import Regridded
from dsad_tools.data.open import open_source
from dsad_tools.data.sample import SampleSource
from dsad_tools.evaluate import evaluate as evaluate_detector
from dsad_tools.metrics.record import RunRecord
from dsad_tools.report.build import HTML_FILE, build_report, write_json

REPORT_PICTURES = 12


def register(app: typer.Typer) -> None:
    app.command("evaluate")(evaluate)


def evaluate(
    engine: Annotated[str, typer.Argument(help="Name or folder of an engine.")],
    source: Annotated[Path, typer.Argument(help="Data set folder, annotated sequence, or bag.")],
    split: Annotated[str, typer.Option(help="Split of a data set: test, train or all.")] = "test",
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    backend: Annotated[Backend | None, typer.Option(help=BACKEND_HELP)] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Probability that the highest pixel of a target exceeds. Default: the manifest's."),
    ] = None,
    matching: Annotated[
        str | None,
        typer.Option(help="nearest, dnanet or box. Default: nearest, or box where truth is boxes."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: the target's.")] = None,
    limit: Annotated[int | None, typer.Option(help="Take only the first frames.")] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Score on this grid, WIDTHxHEIGHT; papers take 256x256. Default: each frame's own."
        ),
    ] = None,
    flip: Annotated[
        bool,
        typer.Option("--flip", help="Turn every frame by 180 degrees: what a side of the labels is worth."),
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write figures and per-frame records here.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write report.html and metrics.json into this folder.")
    ] = None,
    tracks: Annotated[
        bool,
        typer.Option(
            "--tracks", help="Score tracks over sequences with boxes; SOURCE is one or a folder of them."
        ),
    ] = False,
    clips: Annotated[
        Path | None,
        typer.Option(help="With --tracks: a text file that names the sequences to take, one a line."),
    ] = None,
    low_threshold: Annotated[
        float | None,
        typer.Option(help="With --tracks: probability above which a weak detection may continue a track."),
    ] = None,
) -> None:
    """Score an engine on labelled frames: Pd, Fa, IoU, nIoU and latency; with --tracks, tracks over sequences."""
    if not tracks and (clips is not None or low_threshold is not None):
        raise UsageError("--clips and --low-threshold go with --tracks")
    if tracks and (matching not in (None, "box") or limit is not None):
        raise UsageError("--tracks scores whole sequences by boxes: leave --matching and --limit out")
    if matching is not None and matching not in MATCHINGS:
        raise UsageError(f"matching {matching!r} is unknown; choose one of {', '.join(MATCHINGS)}")
    if tracks:
        loaded = load_engine(engine, platform, threads, backend)
        try:
            run_tracks(Detector(loaded, threshold), source, clips, low_threshold, json_path, report)
        finally:
            loaded.close()
        return
    samples: SampleSource = open_source(source, split)
    if size or flip:
        samples = Regridded(samples, _size(size) if size else None, flip)
    loaded = load_engine(engine, platform, threads, backend)
    try:
        run = evaluate_detector(
            Detector(loaded, threshold),
            samples,
            cast(Matching | None, matching),
            limit=limit,
            pictures=REPORT_PICTURES if report else 0,
        )
    finally:
        loaded.close()
    if json_path is not None:
        write_json(json_path, run)
    if report is not None:
        build_report(report, run)
    _print(run, json_path, report)


def _size(text: str) -> tuple[int, int]:
    height, width = parse_size(text, "--size")
    return width, height


def _print(run: RunRecord, json_path: Path | None, report: Path | None) -> None:
    facts, result = run.facts, run.result
    # Names of folders may hold square brackets; they are no markup.
    console = Console(highlight=False, markup=False)
    split = f" {facts.split} {facts.split_hash}".rstrip() if facts.split else ""
    lines = [
        f"{facts.engine} on {facts.source}{split}: {result.frames} frames scored, "
        f"{run.counters['frames_unlabelled']} unlabelled",
        f"threshold {facts.thresholds}, matching {facts.matching}",
    ]
    for line in lines:
        console.print(line, soft_wrap=True)
    console.print(_table(run))
    lines = [f"{facts.runtime}; {facts.machine['cpu']}, {facts.machine['cores']} cores"]
    lines += [f"note: {note}" for note in run.notes]
    lines += [f"wrote {path}" for path in (json_path, report and report / HTML_FILE) if path]
    for line in lines:
        console.print(line, soft_wrap=True)


def _table(run: RunRecord) -> Table:
    result = run.result
    no_iou = "truth is boxes" if result.matching == "box" else ""
    table = Table("metric", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column("from")
    rows = [
        ("Pd", result.pd, 1.0, f"{result.hits} of {result.targets} targets"),
        ("Fa, 1e-5", result.fa, 1e5, f"{result.false_pixels} of {result.pixels} px"),
        ("IoU", result.iou, 1.0, no_iou or f"{result.intersection} of {result.union} px"),
        ("nIoU", result.niou, 1.0, no_iou or f"{result.niou_frames} frames"),
    ]
    for name, value, scale, origin in rows:
        table.add_row(name, "-" if value is None else f"{value * scale:.4f}", origin)
    false = f"{result.false_targets} of them false"
    if result.frames:
        false += f", {result.false_targets / result.frames:.3g} a frame"
    table.add_row("predictions", str(result.predictions), false)
    if run.froc is not None:
        for rate, pd in run.froc.pd.items():
            origin = f"peaks above probability {run.froc.thresholds[rate]:.4f}"
            table.add_row(f"Pd at {rate:g} false a frame", "-" if pd is None else f"{pd:.4f}", origin)
        if run.froc.auc is not None:
            table.add_row("AUC of peaks", f"{run.froc.auc:.4f}", "a true peak scores above a false one")
    for stage, ms in run.latency.items():
        tail = f"p95 {ms.p95:.2f}, p99 {ms.p99:.2f}, max {ms.max:.2f}"
        table.add_row(f"{stage}, ms", f"{ms.p50:.2f}", tail)
    return table
