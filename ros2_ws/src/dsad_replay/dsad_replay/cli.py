"""``dsad up``: start source, detector and metrics."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer
from ament_index_python.packages import get_package_share_directory
from rich.console import Console
from rich.table import Table

from dsad_replay.arguments import ARGUMENTS, read_assignments
from dsad_replay.graph import build_replay_graph

HELP = (
    "Run source, detector and metrics as separate ROS 2 processes.\n\n"
    "Takes the arguments of `ros2 launch dsad_replay replay.launch.py`, such as "
    "`dsad up source:=bag bag:=<folder> output:=out`; --show-args lists them all. Ends with the source, or "
    "with Ctrl-C, and leaves the report in the output folder."
)


def register(app: typer.Typer) -> None:
    """Add ``dsad up``."""
    app.command("up", help=HELP)(up)


def up(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[name:=value]...")] = None,
    show_args: Annotated[bool, typer.Option("--show-args", "-s", help="List the arguments and end.")] = False,
) -> None:
    console = Console()
    if show_args:
        console.print(_argument_table())
        return
    given = read_assignments(arguments or [])
    graph = build_replay_graph(given, Path(get_package_share_directory("dsad_bringup")))
    # Here, not above: rclpy takes a quarter of a second to import, and `dsad --help` needs none of it. As a wheel
    # it executes the interpreter anew, which Ctrl-C would interrupt with a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    from dsad_replay.runner import Runner

    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    raise typer.Exit(Runner(graph, console).run())


def _argument_table() -> Table:
    table = Table("argument", "default", "description", box=None, pad_edge=False)
    for argument in ARGUMENTS:
        choices = f" One of: {', '.join(argument.choices)}." if argument.choices else ""
        table.add_row(argument.name, argument.default, argument.description + choices)
    return table
