"""``dsad bench trackers``: our tracker beside libraries, on the same detections."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dsad_core.cli.options import BACKEND_HELP, PLATFORM_HELP
from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.platform import Backend
from dsad_core.files import write_atomic
from dsad_core.machine import machine_facts
from dsad_tools.bench.tracker_libraries import contenders
from dsad_tools.bench.trackers import Standing, compare_trackers
from dsad_tools.data.sequences import open_sequences

#: Columns to print in, whatever the terminal's.
WIDTH = 130


def trackers(
    name: Annotated[str, typer.Argument(metavar="ENGINE", help="Name or folder of an engine.")],
    source: Annotated[Path, typer.Argument(help="A labelled sequence, or a folder of them.")],
    clips: Annotated[Path | None, typer.Option(help="Text file that names the sequences to take.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="First frames of each sequence. Default: all.")
    ] = None,
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    backend: Annotated[Backend | None, typer.Option(help=BACKEND_HELP)] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the figures there.")] = None,
) -> None:
    """Judge our tracker and the libraries that are installed by the same detections and labels.

    Every tracker confirms by six hits and coasts for 0.6 s, but for ours, which has rules of its own.
    """
    cv2.setNumThreads(1)
    sources = open_sequences(source, clips)
    detector = Detector(load_engine(name, platform, 1, backend))
    entrants, absent = contenders()
    columns = (TextColumn("sequences"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        standings = compare_trackers(detector, sources, entrants, limit, bar.track)
    manifest, threshold = detector.engine.manifest, detector.threshold
    detector.engine.close()
    frames = standings[0].result.frames
    console = Console(highlight=False, markup=False, width=WIDTH)
    console.print(
        f"{manifest.name} at {threshold:g} on {source.name}{f' ({clips.name})' if clips else ''}: "
        f"{len(sources)} sequences, {frames} frames scored",
        soft_wrap=True,
    )
    console.print(_table(standings))
    if standings[0].mot is None:
        console.print("HOTA, IDF1 and MOTA need TrackEval: pip install trackeval")
    if absent:
        console.print(f"not installed: pip install {' '.join(absent)}", soft_wrap=True)
    machine = machine_facts()
    console.print(
        f"ms: processor time of the tracker alone, a frame, one thread; {machine['cpu']}, "
        f"{machine['cores']} cores, load {machine['load_average']}",
        soft_wrap=True,
    )
    if json_path is not None:
        content = {
            "engine": manifest.name,
            "engine_sha256": manifest.sha256,
            "threshold": threshold,
            "sequences": len(sources),
            "machine": machine,
            "trackers": [_facts(standing) for standing in standings],
        }
        write_atomic(json_path, json.dumps(content, indent=1, allow_nan=False) + "\n")
        console.print(f"wrote {json_path}", soft_wrap=True)


def _table(standings: list[Standing]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("tracker", no_wrap=True)
    for heading in (
        "coverage", "false/min", "moving", "switches/min", "s to confirm", "HOTA", "IDF1", "MOTA", "p50 ms", "p99",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for standing in standings:
        result, mot, cost = standing.result, standing.mot, standing.cost
        table.add_row(
            standing.name,
            _number(result.coverage, 3),
            f"{_number(result.false_a_minute, 2)} ({result.false_tracks})",
            str(result.false_moving_tracks),
            f"{_number(result.switches_a_minute, 2)} ({result.switches})",
            _number(result.median_confirm_s, 2),
            *(("", "", "") if mot is None else (f"{mot.hota:.3f}", f"{mot.idf1:.3f}", f"{mot.mota:.3f}")),
            *(("", "") if cost is None else (f"{cost.p50:.2f}", f"{cost.p99:.2f}")),
        )
    return table


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _facts(standing: Standing) -> dict[str, Any]:
    mot, cost = standing.mot, standing.cost
    return {
        "name": standing.name,
        "tracks": asdict(standing.result),
        "mot": None if mot is None else asdict(mot),
        "milliseconds": None if cost is None else cost.to_dict(),
    }
