"""``dsad bench footprint``: memory and CPU of what a launch starts, while frames come at a fixed rate."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dsad_common import topics
from dsad_core.errors import DsadError
from dsad_replay.bench.output import wide_console, write_facts

#: Seconds that the nodes may take to answer a first frame, and that they run before the measurement.
START_SECONDS, WARM_SECONDS = 120.0, 5.0

HELP = (
    "Measure memory (RSS) and CPU of the nodes while a synthetic source sends 640x512 mono16 frames: the detector "
    "alone as a vehicle starts it, and beside it the metrics node with --metrics. The source is measured, too."
)


def register(app: typer.Typer) -> None:
    """Add ``footprint`` to ``dsad bench``."""
    app.command("footprint", help=HELP)(footprint)


@dataclass(frozen=True)
class Usage:
    """What one node took.

    Args:
        node: its name.
        rss_mib: largest resident memory, MiB.
        cpu: share of one core, 1.0 is all of it.
    """

    node: str
    rss_mib: float
    cpu: float


def footprint(
    engine: Annotated[str, typer.Option(help="Name or folder of an engine.")] = "camera",
    rate: Annotated[float, typer.Option(help="Frames a second.", min=0.1, max=1000.0)] = 25.0,
    seconds: Annotated[float, typer.Option(help="How long to measure.", min=1.0)] = 20.0,
    metrics: Annotated[bool, typer.Option("--metrics", help="Start the metrics node, too.")] = False,
    output: Annotated[Path | None, typer.Option(help="Folder for footprint.json.")] = None,
) -> None:
    # Not above: rclpy takes a quarter of a second to import, and `dsad --help` needs none of it.
    from dsad_replay.bench.launched import bench_graph

    with tempfile.TemporaryDirectory(prefix="dsad_bench.") as name:
        folder = Path(name)
        parameters = folder / "parameters.yaml"
        parameters.write_text("/**/source:\n  ros__parameters: {width: 640, height: 512, encoding: mono16}\n")
        given = {"engine": engine, "source": "synthetic", "rate": str(rate)}
        given |= {"metrics": str(metrics).lower(), "params_file": str(parameters)}
        usages, answered = _measure(bench_graph(given), folder, seconds)
    table = Table("node", "RSS, MiB", "CPU, % of a core", box=None, pad_edge=False)
    for usage in usages:
        table.add_row(usage.node, f"{usage.rss_mib:.0f}", f"{100 * usage.cpu:.1f}")
    console = wide_console()
    console.print(table)
    console.print(f"{engine}, 640x512 mono16 at {rate:g} Hz: {answered / seconds:.1f} answers a second")
    facts = {"engine": engine, "rate": rate, "seconds": seconds, "answered": answered}
    write_facts(output, "footprint.json", facts | {"nodes": [asdict(usage) for usage in usages]})


def _measure(graph, folder: Path, seconds: float) -> tuple[list[Usage], int]:
    """Usage of every node and the answers during so many seconds.

    Raises:
        DsadError: no frame is answered in time, or a node ends.
    """
    import psutil

    from dsad_common.qos import reliable
    from dsad_msgs.msg import FrameTiming
    from dsad_replay.bench.launched import launched, spin

    answers: list[FrameTiming] = []
    with launched(graph, folder / "logs") as (nodes, node, executor):
        node.create_subscription(FrameTiming, topics.TIMING, answers.append, reliable(50))
        if not spin(executor, nodes, START_SECONDS, until=lambda: answers):
            raise DsadError(f"no frame was answered within {START_SECONDS:g} s")
        spin(executor, nodes, WARM_SECONDS)
        watched = [psutil.Process(process.pid) for process in nodes]
        before, begin = [sum(each.cpu_times()[:2]) for each in watched], time.monotonic()
        first, rss = len(answers), [0] * len(watched)
        while (rest := begin + seconds - time.monotonic()) > 0:
            spin(executor, nodes, min(0.5, rest))
            rss = [max(known, each.memory_info().rss) for known, each in zip(rss, watched)]
        wall = time.monotonic() - begin
        cpu = [(sum(each.cpu_times()[:2]) - start) / wall for each, start in zip(watched, before)]
    usages = [Usage(process.spec.name, most / 2**20, share) for process, most, share in zip(nodes, rss, cpu)]
    return usages, len(answers) - first
