"""``dsad prove``."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from dsad_core.errors import UsageError
from dsad_core.files import write_atomic
from dsad_core.machine import machine_facts
from dsad_core.plugins import plugins
from dsad_tools.prove.proof import Check, Setting, run, summary

#: Share of the long form's counts in the short one.
SHORT = 0.001
JSON_FILE, PAGE_FILE = "proofs.json", "proofs.html"

HELP = (
    "Prove on this machine what the suite promises, with real nodes over loopback: soak, faults, hostile input, "
    "security, many bags.\n\nPrints a table and writes JSON and a page. Ends with 1 where a promise does not hold."
)


def register(app: typer.Typer) -> None:
    """Add ``dsad prove``."""
    app.command("prove", help=HELP)(prove)


def prove(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[PROOF]...", help="Proofs to run. Default: all.")
    ] = None,
    long: Annotated[bool, typer.Option("--long", help="The counts of the documentation; hours.")] = False,
    share: Annotated[
        float | None, typer.Option(help="Share of the long form's counts, in place of the short form's.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Name or folder of an engine.")] = "local-contrast",
    seed: Annotated[int, typer.Option(help="Of everything that is random.", min=0)] = 0,
    output: Annotated[Path | None, typer.Option(help=f"Folder for {JSON_FILE} and {PAGE_FILE}.")] = None,
) -> None:
    known = plugins("proof")
    if unknown := [name for name in names or () if name not in known]:
        raise UsageError(f"no proof '{unknown[0]}'; there are {', '.join(known)}")
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"--share {share} must be above 0, and 1 at most")
    part = 1.0 if long else SHORT if share is None else share
    console, checks = Console(), list[Check]()
    if not console.is_terminal:
        console.width = 160
    with Console(stderr=True).status("") as status:
        for name in names or known:
            status.update(f"proof: {name}")
            with tempfile.TemporaryDirectory(prefix=f"dsad_prove.{name}.") as folder:
                setting = Setting(Path(folder), engine, part, seed)
                for check in run(name, known[name].load(), setting):
                    checks.append(check)
                    status.update(f"proof: {name}, {check.name}")
    console.print(table(checks))
    failed = sum(check.passed is False for check in checks)
    spent = sum(check.seconds for check in checks)
    console.print(f"{summary(checks)}, {spent:.0f} s", highlight=False)
    if output is not None:
        write(output, checks, {"share": part, "engine": engine, "seed": seed, "machine": machine_facts()})
        console.print(f"written: {output / JSON_FILE}, {output / PAGE_FILE}", soft_wrap=True, highlight=False)
    raise typer.Exit(1 if failed else 0)


def table(checks: list[Check]) -> Table:
    """One row a check."""
    shown = Table(box=None, pad_edge=False)
    for column in ("proof", "what", "count", "", "s", "holds", "seen"):
        shown.add_column(column, justify="right" if column in ("count", "s") else "left", overflow="fold")
    before = ""
    for check in checks:
        first, before = "" if check.proof == before else check.proof, check.proof
        shown.add_row(
            first,
            check.name,
            f"{check.count:,}",
            check.unit,
            f"{check.seconds:.1f}",
            check.verdict,
            check.seen,
        )
    return shown


def write(folder: Path, checks: list[Check], facts: dict) -> None:
    """``proofs.json``, and ``proofs.html`` that needs nothing else."""
    from dsad_tools.prove.page import page  # Jinja2 is not needed for the table

    folder.mkdir(parents=True, exist_ok=True)
    content = facts | {"checks": [asdict(check) for check in checks]}
    write_atomic(folder / JSON_FILE, json.dumps(content, indent=1) + "\n")
    write_atomic(folder / PAGE_FILE, page(checks, facts))
