"""``dsad prove``."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from dsad_core.errors import UsageError
from dsad_core.files import write_atomic
from dsad_core.machine import machine_facts
from dsad_core.plugins import plugins
from dsad_tools import __version__
from dsad_tools.prove.journal import JSON_FILE, Journal
from dsad_tools.prove.proof import Check, Proof, Setting, run, summary

#: Share of the long form's counts in the short one.
SHORT = 0.001
PAGE_FILE = "proofs.html"

HELP = (
    "Prove on this machine what the suite promises, with real nodes over loopback: soak, faults, hostile input, "
    "security, many bags.\n\nPrints a table and writes JSON and a page. Ends with 1 where a promise does not hold. "
    "With --output, a run that was stopped goes on when the same command is given again."
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
    console = Console()
    if not console.is_terminal:
        console.width = 160
    settings = {"share": part, "engine": engine, "seed": seed, "version": __version__}
    journal = Journal(output, settings, {"machine": machine_facts()})
    if journal.checks:
        console.print(f"{journal.path}: goes on after {len(journal.checks)} rows", soft_wrap=True)
    try:
        with _Progress() as progress:
            for name in journal.begin(list(names or known)):
                setting = Setting(Path(), engine, part, seed, name, journal)
                _run(known[name].load(), setting, journal, progress)
    except KeyboardInterrupt:
        way = "the same command goes on from here" if output else "with --output it could be continued"
        console.print(table(journal.checks))
        console.print(f"stopped; {way}", highlight=False)
        raise typer.Exit(130) from None
    console.print(table(journal.checks))
    failed = sum(check.passed is False for check in journal.checks)
    spent = sum(check.seconds for check in journal.checks)
    console.print(f"{summary(journal.checks)}, {spent:.0f} s", highlight=False)
    if output is not None:
        write_page(output, journal)
        console.print(f"written: {output / JSON_FILE}, {output / PAGE_FILE}", soft_wrap=True, highlight=False)
    raise typer.Exit(1 if failed else 0)


def _run(proof: Proof, setting: Setting, journal: Journal, progress: _Progress) -> None:
    name = setting.proof
    progress.tell(name)
    with tempfile.TemporaryDirectory(prefix=f"dsad_prove.{name}.") as folder:
        setting = replace(
            setting, folder=Path(folder), tell=lambda line: progress.tell(f"{name}: {line}", often=True)
        )
        for check in run(name, proof, setting):
            journal.add(check)
            progress.tell(f"{name}: {check.name} done, holds: {check.verdict}")
    journal.end(name)


class _Progress:
    """Lines on how far it is: in place on a terminal, elsewhere one below the other and not too often."""

    SECONDS = 60.0

    def __enter__(self) -> _Progress:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("")
        self._last = time.monotonic()
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_) -> None:
        self._status.stop()

    def tell(self, line: str, often: bool = False) -> None:
        if self._console.is_terminal:
            self._status.update(line)
        elif not often or time.monotonic() - self._last > self.SECONDS:
            self._console.print(line, soft_wrap=True)
            self._last = time.monotonic()


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


def write_page(folder: Path, journal: Journal) -> None:
    """``proofs.html``, which needs nothing else."""
    from dsad_tools.prove.page import page  # Jinja2 is not needed for the table

    write_atomic(folder / PAGE_FILE, page(journal.checks, journal.all_facts))
