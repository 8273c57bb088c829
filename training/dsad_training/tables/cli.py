"""``dsad table`` and ``dsad recipe``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dsad_core.errors import UsageError

RUNS = Path("runs")
#: Columns to print in, whatever the terminal's: a line that is too long for it wraps, but no figure is cut.
WIDTH = 160


def register(app: typer.Typer) -> None:
    """Add the commands around the paper's tables."""
    app.command("table")(table)
    app.command("recipe")(recipe)


def table(
    number: Annotated[int, typer.Argument(help="1 to 6, or 7 for the paper's latencies.")],
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder with runs and engines beside those installed; may be repeated. "
            f"Default: {RUNS}, where it exists."
        ),
    ] = None,
    bench: Annotated[
        Path | None, typer.Option(help="Table 7: bench.json of dsad bench engine, set beside the paper's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a table of the paper with what was trained and tested here under each row."""
    from rich.console import Console

    from dsad_core.engines.locate import list_engines
    from dsad_training.tables.latency import latency_dict, latency_table
    from dsad_training.tables.ours import find_trained
    from dsad_training.tables.paper import LATENCY_TABLE, load_paper
    from dsad_training.tables.show import footnotes, rich_table
    from dsad_training.tables.table import join

    for folder in runs or []:
        if not folder.is_dir():
            raise UsageError(f"--runs {folder}: no such folder")
    console = Console(highlight=False, markup=False, width=WIDTH)
    paper = load_paper()
    if number == LATENCY_TABLE:
        if as_json:
            print(json.dumps(latency_dict(bench), indent=2))
        else:
            console.print(latency_table(bench))
        return
    if bench is not None:
        raise UsageError(f"--bench goes with table {LATENCY_TABLE}, not with table {number}")
    paper.table(number)
    folders = runs if runs is not None else [folder for folder in (RUNS,) if folder.is_dir()]
    joined = join(number, find_trained(list_engines(), folders))
    if as_json:
        print(json.dumps(joined.to_dict(), indent=2, allow_nan=False))
        return
    console.print(rich_table(joined))
    for line in footnotes(joined):
        console.print(line, soft_wrap=True)


def recipe(
    row: Annotated[
        str | None, typer.Argument(help="Row of the paper's tables, as table1/dsad; all are listed without.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="How to train it.")] = "best",
    data_set: Annotated[str, typer.Option(help="nudt or nuaa.")] = "nudt",
    epochs: Annotated[
        float, typer.Option(help="Budget, in passes over the training split in 256x256 crops.")
    ] = 1500.0,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 0,
    teacher: Annotated[
        str | None, typer.Option(help="Run folder or weights file of the teacher of a distilled row.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
) -> None:
    """Write the recipe of a row of the paper's Tables 1 to 6, for dsad train."""
    import yaml

    from dsad_core.files import write_atomic
    from dsad_training.recipe import build_recipe
    from dsad_training.tables.compose import compose, protocols
    from dsad_training.tables.paper import load_paper

    if row is None:
        paper = load_paper()
        for number, rows in paper.tables.items():
            typer.echo(f"Table {number}: {rows.caption}")
            for name, entry in rows.rows.items():
                learns = f" from {paper.networks[entry.network].teacher}" if entry.distiller else ""
                typer.echo(f"  {f'table{number}/{name}':24} {entry.label}{learns}, {'/'.join(entry.scores)}")
        typer.echo(f"protocols: {', '.join(protocols())}")
        return
    content = compose(row, protocol, data_set, epochs, seed, teacher)
    build_recipe(content, origin=content["name"])
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomic(out, text)
        typer.echo(f"wrote {out}")
