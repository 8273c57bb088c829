"""``dsad bench exits``: how long each process takes to end at a signal, and what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dsad_core.errors import DsadError, UsageError
from dsad_replay.bench.output import wide_console, write_facts
from dsad_replay.processes import installed_program
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.write import BagWriter
from dsad_tools.scenes.generator import SceneGenerator

#: Seconds that a process may take to reach a moment, to end, and to run before the last moment.
REACH_SECONDS, END_SECONDS, RUN_SECONDS = 60.0, 60.0, 1.0
#: Seconds after the start at which a signal comes; two more moments follow: on the network, running.
DELAYS = (0.05, 0.3, 1.0)
NETWORK, RUNNING = "on the network", "running"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: In the environment of everything that one case starts.
MARK = "DSAD_BENCH_EXITS"

#: Package, executable and parameters of the nodes.
NODES = {
    "detector": ("dsad_detector", "detector", {}),
    "frame_source, playing": ("dsad_source", "frame_source", {"wait_for_subscribers": 0.0}),
    "frame_source, waiting": (
        "dsad_source",
        "frame_source",
        {"wait_for": "[nobody]", "wait_for_subscribers": 600.0},
    ),
    "bag_replay, playing": (
        "dsad_source",
        "bag_replay",
        {"bag": "frames", "loop": True, "wait_for_subscribers": 0.0},
    ),
    "bag_replay, waiting": ("dsad_source", "bag_replay", {"bag": "frames", "wait_for_subscribers": 600.0}),
    "metrics": ("dsad_metrics", "metrics", {"output_dir": "out"}),
    "recorder": ("dsad_metrics", "recorder", {"bag": "out/bag"}),
}
UP = "dsad up"
UP_ARGUMENTS = ("source:=synthetic", "rate:=25", "output:=out", "record:=out/bag")

HELP = (
    "Measure how long each node, and `dsad up` with report and bag, takes to end at SIGINT and SIGTERM: some "
    "moments after its start, once it is on the network, and while it runs. Also prints the exit status, "
    "tracebacks, processes left running, and whether report and bag were written."
)


def register(app: typer.Typer) -> None:
    """Add ``exits`` to ``dsad bench``."""
    app.command("exits", help=HELP)(exits)


@dataclass(frozen=True)
class Exit:
    """How one process ended.

    Args:
        what: the node or command.
        moment: when the signal came.
        signal: its name.
        seconds: from the signal to the end.
        status: exit status, negative for a signal that ended it.
        traceback: whether it, or a node that it started, printed one.
        orphans: processes that it left running; they are killed.
        report, bag: of `dsad up`: frames in the report, messages in the bag; None where there is none.
    """

    what: str
    moment: str
    signal: str
    seconds: float
    status: int
    traceback: bool
    orphans: int
    report: int | None
    bag: int | None


def exits(
    only: Annotated[list[str] | None, typer.Option(help="Part of a name to measure; repeatable.")] = None,
    engine: Annotated[str, typer.Option(help="Name or folder of an engine.")] = "camera",
    output: Annotated[Path | None, typer.Option(help="Folder for exits.json.")] = None,
) -> None:
    subjects = [name for name in (*NODES, UP) if not only or any(part in name for part in only)]
    if not subjects:
        raise UsageError(f"--only {' '.join(only)}: none of {', '.join((*NODES, UP))}")
    moments = [*DELAYS, NETWORK, RUNNING]
    found = [measure(*case, engine) for case in product(subjects, moments, SIGNALS)]
    console = wide_console()
    console.print(table(found))
    slowest = max(found, key=lambda one: one.seconds)
    console.print(f"slowest: {slowest.what}, {slowest.moment}, {slowest.signal}: {slowest.seconds:.2f} s")
    write_facts(output, "exits.json", {"engine": engine, "exits": [asdict(one) for one in found]})


def measure(what: str, moment: float | str, number: signal.Signals, engine: str) -> Exit:
    """Start one process, send it a signal at a moment, and look at what is left.

    Raises:
        DsadError: it never reaches the moment, or never ends.
    """
    import psutil  # the laboratory's; `dsad --help` needs none of it

    with tempfile.TemporaryDirectory(prefix="dsad_bench.") as name:
        folder = Path(name)
        if "bag_replay" in what:
            with BagWriter(folder / "frames") as bag:
                for sample in SceneGenerator(256, 256, 25):
                    bag.write(sample)
        log = folder / "log"
        with open(log, "wb") as stream:
            process = subprocess.Popen(
                _command(what, engine),
                cwd=folder,
                env=os.environ | {MARK: name},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                # As launchers do: SIGINT waits until the node has a handler. A shell does not.
                preexec_fn=None
                if what == UP
                else lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]),
            )
        try:
            _reach(moment, process, log, what)
            process.send_signal(number)
            begin = time.monotonic()
            status = process.wait(END_SECONDS)
            seconds = time.monotonic() - begin
        except subprocess.TimeoutExpired:
            raise DsadError(f"{what}, {moment}: still runs {END_SECONDS:g} s after {number.name}") from None
        finally:
            orphans = [
                each for each in psutil.process_iter() if _started_by(each, name) and each.pid != process.pid
            ]
            for each in (*orphans, process):
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    each.kill()
            process.wait()
        logs = [log, *folder.glob("out/logs/*.log")]
        traceback = any("Traceback" in path.read_text(errors="replace") for path in logs)
        at = moment if isinstance(moment, str) else f"{moment:g} s"
        return Exit(
            what, at, number.name, seconds, status, traceback, len(orphans), *_written(folder / "out")
        )


def table(found: list[Exit]) -> Table:
    """One row an exit."""
    columns = (
        "what",
        "moment",
        "signal",
        "s",
        "status",
        "traceback",
        "orphans",
        "report, frames",
        "bag, messages",
    )
    result = Table(*columns, box=None, pad_edge=False)
    for one in found:
        left = ("–" if figure is None else str(figure) for figure in (one.report, one.bag))
        yes = "yes" if one.traceback else "no"
        figures = (f"{one.seconds:.2f}", str(one.status), yes, str(one.orphans), *left)
        result.add_row(one.what, one.moment, one.signal, *figures)
    return result


def _command(what: str, engine: str) -> list[str]:
    if what == UP:
        code = "from dsad_core.cli.start import main; main()"
        return [sys.executable, "-c", code, "up", f"engine:={engine}", *UP_ARGUMENTS]
    package, executable, parameters = NODES[what]
    command = [str(installed_program(package, executable)), "--ros-args", "-r", "__ns:=/dsad_bench"]
    given = {"engine": engine} if executable == "detector" else parameters
    return command + [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]


def _reach(moment: float | str, process: subprocess.Popen, log: Path, what: str) -> None:
    if not isinstance(moment, str):
        time.sleep(moment)
        return
    import psutil

    seen = psutil.Process(process.pid)
    _wait(lambda: seen.net_connections(kind="udp"), process, f"{what} is never on the network", log)
    if moment == RUNNING:
        if what == UP:
            figures = re.compile(r"\b[1-9]\d* frames  Pd")
            _wait(lambda: figures.search(log.read_text(errors="replace")), process, "no frame is scored", log)
        time.sleep(RUN_SECONDS)


def _wait(condition: Callable[[], object], process: subprocess.Popen, otherwise: str, log: Path) -> None:
    deadline = time.monotonic() + REACH_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise DsadError(f"{otherwise}: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.005)


def _started_by(process, mark: str) -> bool:
    import psutil

    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _written(folder: Path) -> tuple[int | None, int | None]:
    """Frames in the report and messages in the bag of a folder."""
    report, bag = folder / "metrics.json", folder / "bag"
    frames = json.loads(report.read_text())["metrics"]["frames"] if report.is_file() else None
    messages = sum(topic.count for topic in BagReader(bag).topics()) if bag.exists() else None
    return frames, messages
