"""``dsad gate``: may this engine be released, by all the bags of a folder?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dsad_core.engines.load import load_engine
from dsad_core.errors import UsageError
from dsad_core.files import write_atomic
from dsad_core.machine import usable_cores
from dsad_core.metrics.counts import MATCHINGS, Matching
from dsad_tools.gate import Score, Task, find_bags, on_processes, on_scheduler, total


def register(app: typer.Typer) -> None:
    """Add ``dsad gate``."""
    app.command("gate")(gate)


def gate(
    folder: Annotated[Path, typer.Argument(help="Folder with labelled bags, at any depth.")],
    engine: Annotated[str, typer.Option(help="Name or folder of an engine.")] = "default",
    platform: Annotated[str, typer.Option("--target", help="cpu, cuda, agx or ascend.")] = "cpu",
    least_pd: Annotated[
        float, typer.Option(help="Pd of all bags together must reach it.", min=0, max=1)
    ] = 0.0,
    most_fa: Annotated[float, typer.Option(help="Fa of all bags together may reach it.", min=0, max=1)] = 1.0,
    matching: Annotated[str, typer.Option(help="nearest, dnanet or box.")] = "nearest",
    workers: Annotated[int | None, typer.Option(help="Processes. Default: one a core.", min=1)] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, whose workers count instead.")
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write counts and figures here.")] = None,
) -> None:
    """Score an engine on every bag of a folder; ends with 1 where Pd, Fa or a bag fails."""
    if matching not in MATCHINGS:
        raise UsageError(f"matching {matching!r} is unknown; choose one of {', '.join(MATCHINGS)}")
    kind = cast(Matching, matching)
    tasks = [Task(str(bag.resolve()), engine, platform, 1, kind) for bag in find_bags(folder)]
    if scheduler:
        found = on_scheduler(tasks, scheduler)
    else:
        # An engine that does not load is one line, not one for each bag.
        load_engine(engine, platform, 1).close()
        found = on_processes(tasks, workers or usable_cores())
    console = Console(highlight=False, markup=False)
    errors = Console(stderr=True)
    shown = track(found, "bags", len(tasks), console=errors, transient=True, disable=not errors.is_terminal)
    scores = sorted(shown, key=lambda each: each.bag)
    result = total(scores, kind).result()
    console.print(_table(scores))
    verdicts = [f"{each.bag}: {each.refusal}" for each in scores if each.counts is None]
    if result.pd is None:
        verdicts.append("no bag holds a labelled target")
    elif result.pd < least_pd:
        verdicts.append(f"Pd {result.pd} is below {least_pd:g}")
    if result.fa is not None and result.fa > most_fa:
        verdicts.append(f"Fa {result.fa:.3g} is above {most_fa:g}")
    for verdict in verdicts:
        console.print(verdict, soft_wrap=True)
    if json_path is not None:
        bags = {each.bag: each.counts and each.counts.result().to_dict() for each in scores}
        content = {"engine": engine, "total": result.to_dict(), "bags": bags, "fails": verdicts}
        write_atomic(json_path, json.dumps(content, indent=1) + "\n")
    console.print(f"{len(scores)} bags, {result.frames} frames: {'fails' if verdicts else 'passes'}")
    raise typer.Exit(1 if verdicts else 0)


def _table(scores: list[Score]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("bag")
    for column in ("frames", "targets", "hits", "false", "Pd", "Fa"):
        table.add_column(column, justify="right")
    for each in scores:
        if each.counts is not None:
            result = each.counts.result()
            numbers = (result.frames, result.targets, result.hits, result.false_targets)
            shares = ("–" if share is None else f"{share:.3g}" for share in (result.pd, result.fa))
            table.add_row(Path(each.bag).name, *map(str, numbers), *shares)
    return table
