"""``dsad bench tracker``: what tracks cost a frame, without ROS."""

import time
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dsad_core.cli.options import BACKEND_HELP, PLATFORM_HELP
from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.platform import Backend
from dsad_core.frame.geometry import parse_size
from dsad_core.metrics.latency import percentiles
from dsad_core.tracking import Follower
from dsad_tools.bench.machine import bench_machine, machine_line
from dsad_tools.follow import START_NS
from dsad_tools.scenes.moving import MovingScene

#: Hz of the generated scene, and the first stamp.
FPS = 30.0


def tracker(
    name: Annotated[str, typer.Argument(metavar="ENGINE", help="Name or folder of an engine.")] = "camera",
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    backend: Annotated[Backend | None, typer.Option(help=BACKEND_HELP)] = None,
    size: Annotated[str, typer.Option(help="Frame size WIDTHxHEIGHT.")] = "640x512",
    pan: Annotated[float, typer.Option(help="Pixels a frame by which the camera swings, 0 to 8.")] = 3.0,
    runs: Annotated[int, typer.Option(help="Frames timed.", min=1)] = 200,
) -> None:
    """Time weak targets, camera motion and tracker together on a generated scene, on one core.

    Processor time is what the tracks' thread computes; wall time also counts what else the machine does.
    """
    height, width = parse_size(size)
    detector = Detector(load_engine(name, platform, 1, backend))
    detector.warm_up(height, width)
    facts = bench_machine([1])
    cv2.setNumThreads(1)
    follower, processor, wall = Follower(), [], []
    scene = MovingScene(height, width, runs, fps=FPS, pan=pan)
    for index, sample in enumerate(
        track(scene, "Timing", total=runs, console=Console(stderr=True), transient=True)
    ):
        found = detector.detect(sample.image)
        stamp = START_NS + round(index * 1e9 / FPS)
        begin, computed = time.monotonic_ns(), time.thread_time_ns()
        follower.update(
            sample.image,
            stamp,
            found.targets,
            found.mask,
            found.logits,
            detector.threshold,
            score=detector.score,
        )
        processor.append(time.thread_time_ns() - computed)
        wall.append(time.monotonic_ns() - begin)
    manifest = detector.engine.manifest
    detector.engine.close()
    table = Table(
        "tracks and motion, ms a frame",
        title=f"{manifest.name}, generated {width}x{height}, pan {pan:g} px a frame, {runs} frames",
        title_justify="left",
    )
    for column in ("p50", "p95", "p99", "max"):
        table.add_column(column, justify="right")
    for row, spans in (("processor time", processor), ("wall time", wall)):
        figures = percentiles(spans)
        table.add_row(row, *(f"{getattr(figures, key):.2f}" for key in ("p50", "p95", "p99", "max")))
    console = Console()
    console.print(table)
    console.print(
        f"one thread; {follower.estimator.failures} frames without a measured motion; {machine_line(facts)}",
        soft_wrap=True,
    )
