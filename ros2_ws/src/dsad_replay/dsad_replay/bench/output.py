"""Where a bench's figures go: the terminal and a file."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from dsad_core.files import write_atomic
from dsad_tools.bench.machine import bench_machine


def wide_console() -> Console:
    """A console whose tables are not folded where there is no terminal."""
    console = Console()
    if not console.is_terminal:
        console.width = 120
    return console


def write_facts(folder: Path | None, name: str, facts: dict) -> None:
    """Write figures, with those of the machine, into a file of a folder that is made; without a folder nothing."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, json.dumps({"machine": bench_machine()} | facts, indent=2) + "\n")
