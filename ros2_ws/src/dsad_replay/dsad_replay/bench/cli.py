"""``dsad bench pipeline``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from ament_index_python.packages import get_package_share_directory
from rich.console import Console
from rich.progress import Progress

from dsad_bringup.graph import dds_profile
from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import find_engine
from dsad_core.errors import UsageError
from dsad_core.files import write_atomic
from dsad_replay.bench.output import wide_console
from dsad_replay.bench.timings import Case, Timings
from dsad_tools.bench.machine import bench_machine, machine_line

SIZES = ["256x256:mono8", "640x512:mono16"]
RATES = [10.0, 25.0, 50.0]

HELP = (
    "Measure source and detector as ROS 2 processes, with generated frames.\n\n"
    "Every size runs free, two frames under way at a time and in turn with the engine alone, then at each "
    "fixed rate. Latency is from the detector's receipt of a frame to its publication of mask and targets; "
    "overhead is all of it but inference and the wait for the engine, which a free run has by design."
)


def register(app: typer.Typer) -> None:
    """Add ``pipeline`` to ``dsad bench``."""
    app.command("pipeline", help=HELP)(pipeline)


def pipeline(
    engine: Annotated[str, typer.Option(help="Name or folder of an engine.")] = "default",
    platform: Annotated[str, typer.Option("--target", help="cpu, cuda, agx or ascend.")] = "cpu",
    sizes: Annotated[list[str], typer.Option(help="WIDTHxHEIGHT:mono8 or :mono16; repeatable.")] = SIZES,
    rates: Annotated[list[float], typer.Option(help="Fixed frame rate, Hz; repeatable.")] = RATES,
    frames: Annotated[int, typer.Option(help="Frames of each case.", min=10)] = 200,
    threads: Annotated[int, typer.Option(help="CPU threads of the engine; 0: the target's.", min=0)] = 0,
    output: Annotated[Path | None, typer.Option(help="Folder for pipeline.json and pipeline.png.")] = None,
) -> None:
    cases = list(_cases(sizes, rates))
    folder = find_engine(engine)
    alone = load_engine(folder, platform, threads or None)
    console = wide_console()
    os.environ.update(dds_profile(Path(get_package_share_directory("dsad_bringup"))))
    facts = {
        "engine": alone.manifest.name,
        "sha256": alone.manifest.sha256,
        "target": platform,
        "runtime": alone.description,
        "frames": frames,
        "machine": bench_machine(),
    }
    # Not above: rclpy takes a quarter of a second to import, and `dsad --help` needs none of it.
    from dsad_replay.bench.measure import measure
    from dsad_replay.ros import ros

    detector = {"engine": str(folder), "target": platform, "threads": threads}
    with Progress(console=Console(stderr=True), transient=True) as progress, ros() as executor:
        results = measure(cases, alone, detector, frames, executor, progress)
    alone.close()
    _show(console, results, facts, output)


def _show(console: Console, results: dict[Case, Timings], facts: dict, output: Path | None) -> None:
    from dsad_replay.bench.results import draw, stage_table, summary_table

    title = (
        f"{facts['engine']} ({facts['sha256'][:12]}) on {facts['target']}: {facts['runtime']}; "
        f"{machine_line(facts['machine'])}"
    )
    console.print(summary_table(results), "", stage_table(results), sep="\n")
    console.print(title, soft_wrap=True, highlight=False)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        cases = [
            asdict(case) | {"requested_rate": case.rate} | timings.summary()
            for case, timings in results.items()
        ]
        write_atomic(output / "pipeline.json", json.dumps(facts | {"cases": cases}, indent=2) + "\n")
        draw(results, title, output / "pipeline.png")
        console.print(f"written: {output / 'pipeline.json'}, {output / 'pipeline.png'}", soft_wrap=True)


def _cases(sizes: list[str], rates: list[float]) -> Iterator[Case]:
    for text in sizes:
        match = re.fullmatch(r"(\d{2,4})x(\d{2,4}):(mono8|mono16)", text)
        if not match:
            raise UsageError(f"size '{text}' is not WIDTHxHEIGHT:mono8 or :mono16, such as {SIZES[1]}")
        for rate in [None, *rates]:
            if rate is not None and not 0.1 <= rate <= 1000:
                raise UsageError(f"rate {rate:g} is outside 0.1 to 1000 Hz")
            yield Case(int(match[1]), int(match[2]), match[3], rate)
