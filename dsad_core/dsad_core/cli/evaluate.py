"""``dsad evaluate``: score an engine on labelled frames, without ROS."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from dsad_core.data.open import open_source
from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.errors import UsageError
from dsad_core.evaluate import evaluate as evaluate_detector
from dsad_core.metrics.counts import MATCHINGS
from dsad_core.metrics.record import RunRecord
from dsad_core.report import build_report, write_json

REPORT_PICTURES = 12


def register(app: typer.Typer) -> None:
    app.command("evaluate")(evaluate)


def evaluate(
    engine: Annotated[str, typer.Argument(help="Name or folder of an engine.")],
    source: Annotated[Path, typer.Argument(help="Data set folder, annotated sequence, or bag.")],
    split: Annotated[str, typer.Option(help="Split of a data set: test, train or all.")] = "test",
    target: Annotated[str, typer.Option(help="cpu, cuda, agx or ascend.")] = "cpu",
    threshold: Annotated[
        float | None, typer.Option(help="Probability above which a pixel is target. Default: the manifest's.")
    ] = None,
    matching: Annotated[
        str | None, typer.Option(help="nearest, dnanet or box. Default: nearest, or box where truth is boxes.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: the target's.")] = None,
    limit: Annotated[int | None, typer.Option(help="Take only the first frames.")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write figures and per-frame records here.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write report.html and metrics.json into this folder.")
    ] = None,
) -> None:
    """Score an engine on labelled frames: Pd, Fa, IoU, nIoU and latency."""
    if matching is not None and matching not in MATCHINGS:
        raise UsageError(f"matching {matching!r} is unknown; choose one of {', '.join(MATCHINGS)}")
    samples = open_source(source, split)
    loaded = load_engine(engine, target, threads)
    try:
        run = evaluate_detector(
            Detector(loaded, threshold), samples, matching, limit=limit, pictures=REPORT_PICTURES if report else 0
        )
    finally:
        loaded.close()
    if json_path is not None:
        write_json(json_path, run)
    if report is not None:
        build_report(report, run)
    _print(run, json_path, report)


def _print(run: RunRecord, json_path: Path | None, report: Path | None) -> None:
    facts, result = run.facts, run.result
    console = Console(highlight=False, soft_wrap=True)
    split = f" {facts.split} {facts.split_hash}".rstrip() if facts.split else ""
    console.print(
        f"[bold]{facts.engine}[/] on {facts.source}{split}: {result.frames} frames scored, "
        f"{run.counters['frames_unlabelled']} unlabelled; threshold {facts.threshold:g}, matching {facts.matching}"
    )
    table = Table("metric", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column("from")
    boxes = result.matching == "box"
    table.add_row("Pd", _figure(result.pd), f"{result.hits} of {result.targets} targets")
    table.add_row(
        "Fa, 1e-5", _figure(result.fa, 1e5), f"{result.false_pixels} of {result.pixels} px, "
        f"{result.false_targets} of {result.predictions} predictions"
    )  # fmt: skip
    table.add_row("IoU", _figure(result.iou), "truth is boxes" if boxes else f"{result.intersection} of {result.union} px")
    table.add_row("nIoU", _figure(result.niou), "truth is boxes" if boxes else f"{result.niou_frames} frames")
    for stage, figures in run.latency.items():
        table.add_row(
            f"{stage}, ms", f"{figures.p50:.2f}", f"p95 {figures.p95:.2f}, p99 {figures.p99:.2f}, max {figures.max:.2f}"
        )
    console.print(table)
    console.print(f"{facts.runtime}; {facts.machine['cpu']}, {facts.machine['cores']} cores")
    for note in run.notes:
        console.print(f"note: {note}")
    if json_path is not None:
        console.print(f"wrote {json_path}")
    if report is not None:
        console.print(f"wrote {report}/report.html")


def _figure(value: float | None, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:.4f}"
