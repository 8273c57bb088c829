"""The tables as people read them."""

from collections.abc import Iterator
from itertools import zip_longest

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dsad_training.tables.paper import Network, Scores, load_paper
from dsad_training.tables.table import Figure, JoinedRow, JoinedTable, Outcome

NOT_RUN = "not run"


def rich_table(joined: JoinedTable) -> Table:
    """Each row of the paper, and under it a line for each outcome of ours, or "not run"."""
    paper = load_paper()
    source = paper.table(joined.number)
    table = narrow_table(f"Table {joined.number}: {source.caption}")
    table.add_column("method", no_wrap=True)
    headings = ["params\n1e6", "cost\n1e9"]
    for key in source.data_sets:
        headings += [f"{paper.data_sets[key].name}\nIoU %", "\nPd %", "\nFa 1e-5"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    numbers = {id(outcome): number for number, outcome in enumerate(outcomes(joined), 1)}
    for row in joined.rows:
        _add(table, row, paper.networks[row.row.network], source.data_sets, numbers)
    return table


def footnotes(joined: JoinedTable) -> Iterator[str]:
    """What our figures have to be read with, then what was found and not counted."""
    for number, outcome in enumerate(outcomes(joined), 1):
        facts = outcome.facts
        seeds = ", ".join(str(seed) for seed in facts["seeds"])
        images = facts["images_seen"]
        seen = "unknown" if images is None else f"{images:,}"
        parts = [
            f"[{number}] {', '.join(facts['models'])}: recipe {facts['recipe']}, {seen} images seen, "
            f"{'seeds' if len(facts['seeds']) > 1 else 'seed'} {seeds}",
            *(
                [f"started from {start}, whose images are not counted"]
                if (start := facts["started_from"])
                else []
            ),
            *(f"{key} {value}" for key, value in facts["distiller_options"].items()),
            *(
                [f"distiller's weight {weight:g}"]
                if (weight := facts["distiller_weight"]) is not None
                else []
            ),
            *facts["recipe_changes"],
            f"trained on {facts['training_data']} {facts['training_split_hash']}",
            f"scored on {facts['split']} {facts['split_hash']} ({facts['images']} images, "
            f"{facts['targets']} targets), threshold {facts['threshold']:g}, matching {facts['matching']}",
        ]
        if len(facts["seeds"]) > 1:
            parts.append("mean ± standard deviation over the seeds")
        yield "; ".join(parts)
    yield from (f"note: {note}" for note in joined.notes)


def outcomes(joined: JoinedTable) -> Iterator[Outcome]:
    """In the order in which they are printed."""
    for row in joined.rows:
        for line in zip_longest(*row.ours.values()):
            yield from (outcome for outcome in line if outcome is not None)


def narrow_table(title: str) -> Table:
    """A table whose columns are one blank apart, so that it fits 80 columns."""
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0, pad_edge=False
    )


def _add(table: Table, joined: JoinedRow, network: Network, keys: list[str], numbers: dict[int, int]) -> None:
    scores = [cell for key in keys for cell in _paper_cells(joined.row.scores.get(key))]
    table.add_row(joined.row.label, str(network.params), str(network.flops), *scores, style="dim")
    # One empty line where nothing was run on any data set.
    for line in list(zip_longest(*(joined.ours.get(key, []) for key in keys))) or [(None,) * len(keys)]:
        known = [outcome for outcome in line if outcome is not None]
        size = ("", "")
        if known and known[0].facts["parameters"] is not None:
            facts = known[0].facts
            size = (f"{facts['parameters'] / 1e6:.2f}", f"{facts['cost_gmac']:.2f}")
        marks = "".join(f" [{numbers[id(outcome)]}]" for outcome in known)
        cells = [cell for outcome in line for cell in _our_cells(outcome)]
        table.add_row(f"  ours{marks}", *size, *cells)


def _paper_cells(scores: Scores | None) -> tuple[str, str, str]:
    return ("", "", "") if scores is None else (str(scores.iou), str(scores.pd), str(scores.fa))


def _our_cells(outcome: Outcome | None) -> tuple[str, str, str]:
    if outcome is None:
        return (NOT_RUN, "", "")
    return (_text(outcome.iou, ".2f"), _text(outcome.pd, ".2f"), _text(outcome.fa, "#.3g"))


def _text(figure: Figure, form: str) -> str:
    if figure.mean is None:
        return "-"
    text = format(figure.mean, form)
    return text if figure.deviation is None else f"{text} ±{figure.deviation:{form}}"
