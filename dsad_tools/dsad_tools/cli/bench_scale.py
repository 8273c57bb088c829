"""``dsad bench scale``: what a pixel costs as frames and threads grow."""

import json
import statistics
import time
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dsad_core.cli.options import BACKEND_HELP, PLATFORM_HELP
from dsad_core.engines.load import load_engine
from dsad_core.engines.platform import Backend
from dsad_core.engines.protocol import Engine
from dsad_core.files import write_atomic
from dsad_core.frame.geometry import padded_size, parse_size
from dsad_core.machine import usable_cores
from dsad_tools.analysis.canvas import SERIES, new_figure, png, styled
from dsad_tools.bench.machine import bench_machine, machine_line
from dsad_tools.bench.measure import quartiles, scenes

JSON_FILE, PLOT_FILE = "scale.json", "scale.png"
SIZES = ["128x128", "256x256", "640x512", "1280x1024", "1920x1080"]


def scale(
    name: Annotated[str, typer.Argument(metavar="ENGINE", help="Name or folder of an engine.")] = "default",
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    backend: Annotated[Backend | None, typer.Option(help=BACKEND_HELP)] = None,
    size: Annotated[list[str], typer.Option(help="Frame size WIDTHxHEIGHT; may be repeated.")] = SIZES,
    threads: Annotated[
        list[int], typer.Option(min=1, help="CPU threads; may be repeated. Default: 1 and all.")
    ] = [],
    runs: Annotated[int, typer.Option(help="Frames timed for each size and thread count.", min=1)] = 15,
    out: Annotated[Path | None, typer.Option(help="Folder for scale.json and scale.png.")] = None,
) -> None:
    """Time inference alone over frame sizes and threads, in nanoseconds a pixel.

    The settings take turns, frame by frame; each turn is a frame to settle and one that is timed. Processor is the
    time of all threads of the process: on a busy machine it tells more than the time of the clock.
    """
    sizes = list(dict.fromkeys(parse_size(text) for text in size))
    counts = list(dict.fromkeys(threads)) or sorted({1, usable_cores()})
    machine = bench_machine(counts)
    # An engine for each, because one keeps but two sizes open.
    cases = [
        _Case(load_engine(name, platform, count, backend), count, one)
        for count, one in product(counts, sizes)
    ]
    manifest = cases[0].engine.manifest
    for _ in track(range(runs), "Timing", console=Console(stderr=True), transient=True):
        for case in cases:
            case.take_turn()
    report = {
        "engine": manifest.name,
        "sha256": manifest.sha256,
        "target": platform,
        "runtime": cases[0].engine.description.split(",")[0],
        "runs": runs,
        "machine": machine,
        "results": [case.result() for case in cases],
    }
    for case in cases:
        case.engine.close()
    _print(report)
    if out is not None:
        write_atomic(out / JSON_FILE, json.dumps(report, indent=1) + "\n")
        write_atomic(out / PLOT_FILE, draw(report))
        typer.echo(f"wrote {out}")


@dataclass
class _Case:
    """One frame size (height, width), before padding, on so many threads; durations in ns of each turn."""

    engine: Engine
    threads: int
    size: tuple[int, int]
    clock: list[int] = field(default_factory=list)
    processor: list[int] = field(default_factory=list)

    @cached_property
    def tensor(self) -> np.ndarray:
        """A generated frame, as the engine takes it."""
        return next(scenes(self.engine.manifest, *self.size))

    def take_turn(self) -> None:
        self.engine.infer(self.tensor)
        clock, processor = time.perf_counter_ns(), time.process_time_ns()
        self.engine.infer(self.tensor)
        self.processor.append(time.process_time_ns() - processor)
        self.clock.append(time.perf_counter_ns() - clock)

    def result(self) -> dict[str, Any]:
        height, width = self.size
        padded = padded_size(height, width, self.engine.manifest.size_multiple)
        pixels = padded[0] * padded[1]  # those that are computed
        return {
            "width": width,
            "height": height,
            "threads": self.threads,
            "milliseconds": statistics.median(self.clock) / 1e6,
            "ns_a_pixel": statistics.median(self.clock) / pixels,
            "quartiles": [span / pixels for span in quartiles(list(map(float, self.clock)))],
            "processor_ns_a_pixel": statistics.median(self.processor) / pixels,
        }


def draw(report: dict[str, Any]) -> bytes:
    """A PNG: ns a pixel over the pixels of a frame, a line for each number of threads."""
    with styled():
        figure = new_figure(5.2, 3.3)
        axes = figure.subplots()
        shown = report["results"]
        for colour, threads in zip(SERIES, dict.fromkeys(entry["threads"] for entry in shown)):
            line = sorted(
                (entry for entry in shown if entry["threads"] == threads),
                key=lambda entry: entry["width"] * entry["height"],
            )
            pixels = [entry["width"] * entry["height"] for entry in line]
            low, high = zip(*(entry["quartiles"] for entry in line))
            axes.fill_between(pixels, low, high, color=colour, alpha=0.15)
            label = f"{threads} thread{'s' if threads > 1 else ''}"
            axes.plot(pixels, [entry["ns_a_pixel"] for entry in line], "o-", color=colour, label=label)
            axes.plot(
                pixels,
                [entry["processor_ns_a_pixel"] for entry in line],
                ":",
                color=colour,
                label=f"{label}, processor time",
            )
        ticks = {entry["width"] * entry["height"]: f"{entry['width']}x\n{entry['height']}" for entry in shown}
        axes.set_xscale("log")
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_ylabel("ns a pixel, median and quartiles")
        axes.set_title(f"{report['engine']}, {report['runtime']}\n{report['machine']['cpu']}")
        axes.legend()
        return png(figure)


def _print(report: dict[str, Any]) -> None:
    table = Table(
        "size",
        title=f"{report['engine']} on {report['target']}, {report['runs']} runs each, ns a pixel",
        title_justify="left",
    )
    for column in ("threads", "p50", "p25-p75", "processor", "of the smallest", "ms"):
        table.add_column(column, justify="right")
    first: dict[int, float] = {}
    for entry in report["results"]:
        cost = entry["processor_ns_a_pixel"]
        table.add_row(
            f"{entry['width']}x{entry['height']}",
            str(entry["threads"]),
            f"{entry['ns_a_pixel']:.0f}",
            "{:.0f}-{:.0f}".format(*entry["quartiles"]),
            f"{cost:.0f}",
            f"{cost / first.setdefault(entry['threads'], cost):.2f}",
            f"{entry['milliseconds']:.1f}",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{report['runtime']}; {machine_line(report['machine'])}", soft_wrap=True)
