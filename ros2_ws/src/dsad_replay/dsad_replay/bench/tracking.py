"""``dsad bench tracking``: what following targets over time costs the mask."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from ament_index_python.packages import get_package_share_directory
from rich.console import Console
from rich.table import Table

from dsad_bringup.graph import dds_profile
from dsad_core.engines.locate import find_engine
from dsad_core.frame.timing import STAGES
from dsad_replay.bench.timings import Block, Case, Timings
from dsad_tools.bench.machine import bench_machine, machine_line

#: A lost answer is given up after so many seconds.
PATIENCE_SECONDS = 2.0

HELP = (
    "Measure the mask's latency, from the receipt of a frame to the publication of its mask, with tracks and without. "
    "The two take turns; each turn is a detector of its own."
)


def register(app: typer.Typer) -> None:
    """Add ``tracking`` to ``dsad bench``."""
    app.command("tracking", help=HELP)(tracking)


def tracking(
    engine: Annotated[str, typer.Option(help="Name or folder of an engine.")] = "camera",
    platform: Annotated[str, typer.Option("--target", help="cpu, cuda, agx or ascend.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads of the engine.", min=1)] = 1,
    rate: Annotated[
        float, typer.Option(help="Frames of 640x512 mono16 a second.", min=0.1, max=1000.0)
    ] = 5.0,
    frames: Annotated[int, typer.Option(help="Frames of each turn.", min=10)] = 60,
    turns: Annotated[int, typer.Option(help="Turns of each kind.", min=1)] = 4,
) -> None:
    from dsad_replay.bench.pipeline import Pipeline
    from dsad_replay.ros import ros

    folder = find_engine(engine)
    case = Case(640, 512, "mono16", rate)
    os.environ.update(dds_profile(Path(get_package_share_directory("dsad_bringup"))))
    results, machine = {"all": Timings(), "none": Timings()}, bench_machine()
    with ros() as executor:
        for turn in range(turns):
            # Each turn begins with the kind that ended the last one: what drifts falls on both alike.
            order = list(results.items())[:: 1 if turn % 2 == 0 else -1]
            for tracks, timings in order:
                detector = {"engine": str(folder), "target": platform, "threads": threads, "tracks": tracks}
                with (
                    tempfile.TemporaryDirectory(prefix="dsad_bench.") as scratch,
                    Pipeline(case, detector, PATIENCE_SECONDS, Path(scratch), executor) as pipeline,
                ):
                    timings.blocks.append(pipeline.run_at_rate(frames, lambda _: None))
                typer.echo(f"turn {turn + 1} of {turns}, tracks: {tracks}", err=True)
    console = Console()
    console.print(_latencies(results))
    console.print(_differences(results["all"].blocks, results["none"].blocks))
    console.print(
        f"{folder.name}, {threads} threads, 640x512 mono16 at {rate:g} Hz, {turns} turns each; "
        f"{machine_line(machine)}",
        soft_wrap=True,
        highlight=False,
    )


def _latencies(results: dict[str, Timings]) -> Table:
    table = Table("tracks", box=None, pad_edge=False)
    for column in ("answers", "mask p50, ms", "p95", "p99"):
        table.add_column(column, justify="right")
    for tracks, timings in results.items():
        latency = timings.stage("latency")
        figures = (f"{figure:.2f}" for figure in (latency.p50, latency.p95, latency.p99))
        table.add_row(tracks, str(latency.frames), *figures)
    return table


def _differences(following: list[Block], plain: list[Block]) -> Table:
    """Median over the turns of what tracks add to a turn's p50, for the mask and each stage before it."""
    table = Table("added by tracks", box=None, pad_edge=False)
    for column in ("p50, ms", "a quarter of the turns below", "above"):
        table.add_column(column, justify="right")
    for stage in ("latency", *STAGES):
        added = [
            Timings([ours]).stage(stage).p50 - Timings([theirs]).stage(stage).p50
            for ours, theirs in zip(following, plain)
        ]
        low, middle, high = np.percentile(added, (25, 50, 75))
        table.add_row(
            "mask" if stage == "latency" else stage, f"{middle:+.3f}", f"{low:+.3f}", f"{high:+.3f}"
        )
    return table
