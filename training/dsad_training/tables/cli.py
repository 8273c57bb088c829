"""``dsad table``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsad_core.errors import UsageError

if TYPE_CHECKING:
    from dsad_training.tables.compare import Cell

#: Columns to print in, whatever the terminal's: no figure is cut.
WIDTH = 160
NOTES = (
    "Ours: mean ± sample deviation over the seeds. Beside alone: IoU points, and in pooled deviations where the intervals "
    "mean ± deviation are apart; otherwise nothing is ranked.",
    "Equal core-minutes: alone at the budget nearest in time. The paper's Fa are too low: the common script drops false "
    "alarms whose area equals a matched target's.",
)


def register(app: typer.Typer) -> None:
    """Add ``table`` to the ``dsad`` program."""
    app.command("table")(table)


def table(
    number: Annotated[int, typer.Argument(help="1 to 6, or 7 for the paper's latencies.")],
    results: Annotated[
        Path | None, typer.Option(help="CSV of dsad experiments run. Default: the one kept with the recipes.")
    ] = None,
    bench: Annotated[
        Path | None, typer.Option(help="Table 7: bench.json of dsad bench engine --networks. Default: ours.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Tables 1 to 6 as docs/paper.md has them.")
    ] = False,
) -> None:
    """Print a table of the paper with what was trained, or timed, here."""
    from rich.console import Console

    from dsad_training.results import RESULTS, read
    from dsad_training.tables.compare import compare
    from dsad_training.tables.latency import BENCH, latency_dict, latency_table
    from dsad_training.tables.paper import LATENCY_TABLE, load_paper

    console = Console(highlight=False, markup=False, width=WIDTH)
    if as_json and as_markdown:
        raise UsageError("--json and --markdown are two forms of one table; give one")
    if number == LATENCY_TABLE:
        for name, given in (("--results", results is not None), ("--markdown", as_markdown)):
            if given:
                raise UsageError(f"{name} goes with Tables 1 to 6, not with table {LATENCY_TABLE}")
        measured = bench or BENCH
        if as_json:
            print(json.dumps(latency_dict(measured), indent=2))
        else:
            console.print(latency_table(measured))
        return
    if bench is not None:
        raise UsageError(f"--bench goes with table {LATENCY_TABLE}, not with table {number}")
    if results is not None and not results.is_file():
        raise UsageError(f"--results {results}: no such file")
    paper = load_paper()
    cells = list(compare(number, read(results or RESULTS), paper))
    if as_json:
        print(json.dumps([_plain(cell) for cell in cells], indent=2, allow_nan=False))
        return
    caption = paper.table(number).caption
    for data_set in paper.table(number).data_sets:
        title = f"Table {number}: {caption}, {paper.data_sets[data_set].name}"
        part = [cell for cell in cells if cell.data_set == data_set]
        if as_markdown:
            print(_markdown(title, part))
        else:
            console.print(_rich(title, part))
    if as_markdown:
        return
    for note in NOTES:
        console.print(note, soft_wrap=True)


def _rich(title: str, cells: list["Cell"]) -> Any:
    from dsad_training.tables.latency import narrow_table

    shown = narrow_table(title)
    shown.add_column("method", no_wrap=True)
    headings = [
        "paper\nIoU %",
        "\nPd %",
        "\nFa 1e-5",
        "ours\nIoU %",
        "\nPd %",
        "\nFa 1e-5",
        "\nweight",
        "\nseeds",
    ]
    headings += ["\nimages", "\nminutes", "beside alone at equal\nimages", "\ncore-minutes"]
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    before = ""
    for cell in cells:
        first = ("", "", "", "")
        if cell.row != before:
            first = (cell.method, str(cell.paper.iou), str(cell.paper.pd), str(cell.paper.fa))
        before = cell.row
        shown.add_row(*first, *_ours(cell))
    return shown


def _markdown(title: str, cells: list["Cell"]) -> str:
    """A Markdown table below its title; the paper's three figures share a column."""
    head = ["method", "paper: IoU %, Pd %, Fa 1e-5", "IoU %", "Pd %", "Fa 1e-5", "weight", "seeds", "images"]
    head += ["core-minutes", "beside alone at equal images", "beside alone at equal core-minutes"]
    lines, before = [head, ["---"] * 2 + ["---:"] * (len(head) - 2)], ""
    for cell in cells:
        paper = f"{cell.paper.iou}, {cell.paper.pd}, {cell.paper.fa}"
        first = ["", ""] if cell.row == before else [cell.method, paper]
        before, ours = cell.row, _ours(cell)
        lines.append([*first, *ours, *[""] * (len(head) - 2 - len(ours))])
    return "\n".join([f"**{title}**", "", *("| " + " | ".join(line) + " |" for line in lines), ""])


def _ours(cell: "Cell") -> list[str]:
    if cell.ours is None:
        return ["not run"]
    ours = cell.ours
    scores = []
    for name, form in (("iou", ".2f"), ("pd", ".2f"), ("fa", "#.3g")):
        deviation = ours[f"{name}_sd"]
        more = "" if deviation != deviation else f" ±{deviation:{form}}"
        scores.append("-" if ours[name] != ours[name] else f"{ours[name]:{form}}{more}")
    weight = "" if ours["method"] == "alone" else f"{ours['weight']:g}"
    facts = [weight, str(ours["seeds"]), f"{ours['images']:,}", f"{ours['minutes']:.1f}"]
    return [*scores, *facts, cell.equal_images, cell.equal_minutes]


def _plain(cell: "Cell") -> dict[str, Any]:
    paper = {name: float(value) for name, value in cell.paper.model_dump().items()}
    content = {
        "row": cell.row,
        "method": cell.method,
        "data_set": cell.data_set,
        "paper": paper,
        "ours": None,
    }
    if cell.ours is not None:
        # NumPy's numbers are none of JSON's, nor is NaN.
        content["ours"] = json.loads(cell.ours.to_json()) | {
            "equal_images": cell.equal_images,
            "equal_minutes": cell.equal_minutes,
        }
    return content
