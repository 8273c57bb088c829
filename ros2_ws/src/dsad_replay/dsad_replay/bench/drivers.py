"""``dsad bench drivers``: which frames of a camera driver reach the detector, and what becomes of the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dsad_bringup.graph import PROFILE_VARIABLES, Graph
from dsad_common import topics
from dsad_core.errors import DsadError, UsageError
from dsad_core.frame.geometry import parse_size
from dsad_replay.bench.output import wide_console, write_facts

SIZES = ["640x512@30", "1920x1080@30", "2048x1536@30"]
#: (name, has our DDS profile, reliability) of the drivers.
DRIVERS = (
    ("stock, reliable", False, "reliable"),
    ("stock, best effort", False, "best_effort"),
    ("our profile, reliable", True, "reliable"),
    ("our profile, best effort", True, "best_effort"),
)
#: Seconds for a driver and a detector to find each other, and without news of the counters that end a case.
START_SECONDS, QUIET_SECONDS = 90.0, 10.0

HELP = (
    "Count which mono16 frames of a camera driver reach the detector: a driver with and without this suite's DDS "
    "profile, reliable and best effort, by frame size. The detector has the profile, as its launch gives it."
)


def register(app: typer.Typer) -> None:
    """Add ``drivers`` to ``dsad bench``."""
    app.command("drivers", help=HELP)(drivers)


@dataclass(frozen=True)
class Outcome:
    """What became of the frames of one driver.

    Args:
        driver: its name.
        size: ``WIDTHxHEIGHT@RATE``.
        sent: frames that the driver published.
        received, answered, dropped, refused, lost: as the detector counts them.
        says: its newest warning about lost frames; empty where it had none.
    """

    driver: str
    size: str
    sent: int
    received: int
    answered: int
    dropped: int
    refused: int
    lost: int
    says: str

    @property
    def uncounted(self) -> int:
        """Frames sent that are neither received nor counted as lost."""
        return self.sent - self.received - self.lost


def drivers(
    engine: Annotated[str, typer.Option(help="Name or folder of an engine.")] = "local-contrast",
    sizes: Annotated[list[str], typer.Option(help="WIDTHxHEIGHT@RATE of mono16 frames; repeatable.")] = SIZES,
    frames: Annotated[int, typer.Option(help="Frames that each driver sends.", min=1)] = 150,
    output: Annotated[Path | None, typer.Option(help="Folder for drivers.json.")] = None,
) -> None:
    for size in sizes:
        _parse(size)
    # Not above: rclpy takes a quarter of a second to import, and `dsad --help` needs none of it.
    from dsad_replay.bench.launched import bench_graph

    graph = bench_graph({"engine": engine})
    outcomes = []
    for size, (name, profile, reliability) in product(sizes, DRIVERS):
        with tempfile.TemporaryDirectory(prefix="dsad_bench.") as folder:
            outcomes.append(_measure(graph, Path(folder), name, profile, reliability, size, frames))
    console = wide_console()
    console.print(_table(outcomes))
    for says in dict.fromkeys(outcome.says for outcome in outcomes if outcome.says):
        console.print(f"says: {says}", soft_wrap=True, highlight=False)
    write_facts(output, "drivers.json", {"engine": engine, "drivers": [asdict(each) for each in outcomes]})


def _parse(text: str) -> tuple[str, float]:
    """Size and rate of ``WIDTHxHEIGHT@RATE``."""
    size, _, rate = text.partition("@")
    parse_size(size)
    if not re.fullmatch(r"\d+(\.\d+)?", rate) or not 0.1 <= float(rate) <= 1000:
        raise UsageError(f"size '{text}' is not WIDTHxHEIGHT@RATE, rate 0.1 to 1000 Hz, such as {SIZES[0]}")
    return size, float(rate)


def _measure(
    graph: Graph, folder: Path, name: str, profile: bool, reliability: str, text: str, frames: int
) -> Outcome:
    from dsad_common.qos import latched
    from dsad_msgs.msg import FrameCounters
    from dsad_replay.bench.launched import launched, spin

    size, rate = _parse(text)
    counts = FrameCounters()
    seen = 0.0
    sent = 0

    def on_counters(message: FrameCounters) -> None:
        nonlocal counts, seen
        counts, seen = message, time.monotonic()

    def ended() -> bool:
        nonlocal sent, seen
        if not sent and (told := driver.stdout.read()):
            sent, seen = int(told), time.monotonic()
        if driver.poll() is not None:
            raise DsadError(f"{name}, {text}: the driver ended with status {driver.returncode}")
        return sent and (_accounted(counts, sent) or time.monotonic() - seen > QUIET_SECONDS)

    with launched(graph, folder) as (nodes, node, executor):
        node.create_subscription(FrameCounters, topics.COUNTERS, on_counters, latched())
        driver = _start_driver(f"{node.get_namespace()}/image_raw", profile, size, rate, frames, reliability)
        try:
            if not spin(executor, nodes, START_SECONDS + frames / rate, until=ended):
                raise DsadError(f"{name}, {text}: no end; {_log(nodes)[-3:]}")
        finally:
            driver.stdin.close()
            driver.wait()
    said = [line for line in _log(nodes) if "lost on their way" in line]
    return Outcome(
        name,
        text,
        sent,
        # Without the driver's last one, a small frame that shows what was lost before it.
        counts.frames_received - 1,
        counts.frames_answered - 1,
        counts.frames_dropped,
        counts.frames_refused,
        counts.frames_lost,
        re.sub(r".*image_raw: |\(\d+ more like it\)$", "", said[-1]).strip() if said else "",
    )


def _start_driver(topic: str, profile: bool, *words: object) -> subprocess.Popen:
    environment = {
        name: value for name, value in os.environ.items() if profile or name not in PROFILE_VARIABLES
    }
    driver = subprocess.Popen(
        [sys.executable, "-m", "dsad_replay.bench.driver", topic, *map(str, words)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    os.set_blocking(driver.stdout.fileno(), False)
    return driver


def _accounted(counts, sent: int) -> bool:
    """Whether every frame and the driver's last one have come or are counted, and all are answered."""
    handled = counts.frames_answered + counts.frames_dropped + counts.frames_refused
    return counts.frames_received + counts.frames_lost > sent and handled == counts.frames_received


def _log(nodes) -> list[str]:
    return [line for process in nodes for line in process.log.read_text(errors="replace").splitlines()]


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("driver, mono16", no_wrap=True)
    columns = ("sent", "received", "answered", "dropped", "refused", "lost", "uncounted")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for outcome in outcomes:
        title = f"{outcome.size} Hz, {outcome.driver}"
        table.add_row(title, *(str(getattr(outcome, column)) for column in columns))
    return table
