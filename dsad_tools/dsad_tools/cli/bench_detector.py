"""``dsad bench detector``: the stages of one detector, without ROS."""

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from dsad_core.cli.options import BACKEND_HELP, PLATFORM_HELP
from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.platform import Backend
from dsad_core.files import write_atomic
from dsad_core.frame.geometry import parse_size
from dsad_core.frame.timing import DETECTOR_STAGES, TOTAL
from dsad_core.machine import usable_cores
from dsad_core.metrics.latency import percentiles
from dsad_tools.bench.machine import bench_machine, machine_line
from dsad_tools.scenes.generator import SceneGenerator

#: Rows of the table.
ROWS = (*DETECTOR_STAGES, TOTAL)
FRAMES = 8


def detector(
    name: Annotated[str, typer.Argument(metavar="ENGINE", help="Name or folder of an engine.")] = "default",
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    backend: Annotated[Backend | None, typer.Option(help=BACKEND_HELP)] = None,
    size: Annotated[list[str], typer.Option(help="Frame size WIDTHxHEIGHT; may be repeated.")] = [
        "256x256",
        "640x512",
    ],
    threads: Annotated[list[int], typer.Option(help="CPU threads; repeatable. Default: 1 and all.")] = [],
    dtype: Annotated[str, typer.Option(help="Type of the frames: uint8 or uint16.")] = "uint16",
    runs: Annotated[int, typer.Option(help="Frames timed for each size and thread count.", min=1)] = 50,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
) -> None:
    """Time a detector without ROS, stage by stage, on generated scenes.

    The settings take turns, frame by frame, so that other load on the machine hits all of them alike.
    """
    sizes = [parse_size(text) for text in size]
    threads = threads or sorted({1, usable_cores()})
    cases = [
        _Case(Detector(load_engine(name, platform, count, backend)), width, height, count)
        for height, width in sizes
        for count in threads
    ]
    facts = bench_machine(threads)
    for case in cases:
        case.frames = _scenes(case.width, case.height, dtype)
        case.detector.warm_up(case.height, case.width)
    for turn in track(range(runs), "Timing", console=Console(stderr=True), transient=True):
        for case in cases:
            case.run(turn)
    manifest = cases[0].detector.engine.manifest
    report = {
        "engine": manifest.name,
        "sha256": manifest.sha256,
        "target": platform,
        "dtype": dtype,
        "runs": runs,
        "machine": facts,
        "results": [case.result() for case in cases],
    }
    for case in cases:
        case.detector.engine.close()
    if json_path is not None:
        write_atomic(json_path, json.dumps(report, indent=2) + "\n")
    _print(report)


@dataclass
class _Case:
    """One size and thread count."""

    detector: Detector
    width: int
    height: int
    threads: int
    frames: list[np.ndarray] = field(default_factory=list)
    durations: dict[str, list[int]] = field(default_factory=lambda: {stage: [] for stage in ROWS})

    def run(self, turn: int) -> None:
        spans = self.detector.detect(self.frames[turn % len(self.frames)]).durations()
        for row, span in (spans | {TOTAL: sum(spans.values())}).items():
            self.durations[row].append(span)

    def result(self) -> dict:
        median = statistics.median(self.durations[TOTAL])
        milliseconds = {
            stage: figures.to_dict()
            for stage, spans in self.durations.items()
            if (figures := percentiles(spans))
        }
        return {
            "width": self.width,
            "height": self.height,
            "threads": self.threads,
            "runtime": self.detector.engine.description,
            "frames_per_second": 1e9 / median,
            "milliseconds": milliseconds,
        }


def _scenes(width: int, height: int, dtype: str) -> list[np.ndarray]:
    return [sample.image for sample in SceneGenerator(height, width, frames=FRAMES, dtype=dtype)]


def _print(report: dict) -> None:
    console = Console()
    title = (
        f"{report['engine']} on {report['target']}, {report['dtype']} frames, {report['runs']} runs "
        "each, milliseconds"
    )
    table = Table("size", "threads", Column("stage", no_wrap=True), title=title, title_justify="left")
    for column in ("p50", "p95", "p99", "max", "frames/s"):
        table.add_column(column, justify="right")
    for result in report["results"]:
        for stage, figures in result["milliseconds"].items():
            first, last = stage == ROWS[0], stage == ROWS[-1]
            table.add_row(
                f"{result['width']}x{result['height']}" if first else "",
                str(result["threads"]) if first else "",
                stage,
                *(f"{figures[key]:.2f}" for key in ("p50", "p95", "p99", "max")),
                f"{result['frames_per_second']:.1f}" if last else "",
                end_section=last,
            )
    console.print(table)
    runtime = report["results"][0]["runtime"].split(",")[0]
    console.print(f"{runtime}; {machine_line(report['machine'])}", soft_wrap=True)
