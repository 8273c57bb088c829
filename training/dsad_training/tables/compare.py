"""A table of the paper beside what was trained here, out of the CSV of results."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from dsad_training.tables.paper import Paper, Row, Scores

#: What makes two lines of the CSV the same training but for its seed.
SAME = ["network", "width", "spatial", "data_set", "method", "map", "weight", "images", "grid", "threshold"]
SCORES = {"iou": 100.0, "pd": 100.0, "fa": 1e5}
KINDS = ("teacher", "row", "longer")


@dataclass(frozen=True)
class Cell:
    """A row of the paper on one data set, and one budget of ours; ``ours`` is None where nothing was run.

    Attributes:
        ours: of :func:`outcomes`.
        equal_images, equal_minutes: ours against the same network alone, see :func:`against`.
    """

    row: str
    method: str
    data_set: str
    paper: Scores
    ours: pd.Series | None = None
    equal_images: str = ""
    equal_minutes: str = ""


def outcomes(lines: pd.DataFrame, paper: Paper) -> pd.DataFrame:
    """Test scores by training, seeds together: ``iou``, ``pd`` in %, ``fa`` in 1e-5, each with ``_sd``.

    Lines that were not scored on the paper's test split, known by the hash of its ids, are left out. ``minutes`` is the
    mean, ``seeds`` their number; a sample deviation of one seed is missing.
    """
    hashes = {key: data_set.test for key, data_set in paper.data_sets.items()}
    test = lines[(lines["split"] == "test") & lines["kind"].isin(KINDS)]
    test = test[test["split_hash"] == test["data_set"].map(hashes)]
    test = test.drop_duplicates([*SAME, "seed"], keep="last")
    test = test.assign(**{name: scale * test[name] for name, scale in SCORES.items()})
    groups = test.groupby(SAME, dropna=False)
    means = groups[[*SCORES, "minutes"]].mean()
    deviations = groups[list(SCORES)].std().add_suffix("_sd")
    return means.join(deviations).join(groups["seed"].count().rename("seeds")).reset_index()


def compare(number: int, lines: pd.DataFrame, paper: Paper) -> Iterator[Cell]:
    """The cells of Table 1 to 6 in the paper's order, data set after data set; each budget of ours is a cell.

    Raises:
        UsageError: no such table.
    """
    table, found = paper.table(number), outcomes(lines, paper)
    for data_set in table.data_sets:
        for name, row in table.rows.items():
            if data_set not in row.scores:
                continue
            mine = of_row(found, row, paper, data_set).sort_values(["images", "weight"])
            for _, ours in mine.iterrows():
                images, minutes = references(found, ours)
                compared = (against(ours, images), against(ours, minutes))
                yield Cell(name, row.label, data_set, row.scores[data_set], ours, *compared)
            if mine.empty:
                yield Cell(name, row.label, data_set, row.scores[data_set])


def of_row(found: pd.DataFrame, row: Row, paper: Paper, data_set: str) -> pd.DataFrame:
    """The outcomes of one row on one data set."""
    network = paper.networks[row.network]
    wanted = {
        "network": network.name,
        "width": network.width,
        "spatial": network.spatial,
        "data_set": data_set,
        "method": row.distiller or "alone",
        "map": row.weights if row.distiller == "dsad" else "",
    }
    return found[(found[list(wanted)] == pd.Series(wanted)).all(axis=1)]


def references(found: pd.DataFrame, ours: pd.Series) -> tuple[pd.Series | None, pd.Series | None]:
    """The same network alone: after as many images, and after the nearest core-minutes of its budgets.

    A distilled step costs two to three plain ones, so that the second has seen more images.
    """
    keys = ["network", "width", "spatial", "data_set", "grid"]
    alone = found[(found[keys] == ours[keys]).all(axis=1) & (found["method"] == "alone")]
    if ours["method"] == "alone" or alone.empty:
        return None, None
    same = alone[alone["images"] == ours["images"]]
    distance = (alone["minutes"] / ours["minutes"] - 1).abs()
    nearest = None if distance.isna().all() else alone.loc[distance.idxmin()]
    return (None if same.empty else same.iloc[0]), nearest


def against(ours: pd.Series, other: pd.Series | None) -> str:
    """The difference in IoU points and, where the intervals mean ± deviation are apart, in pooled deviations."""
    if other is None:
        return ""
    difference = ours["iou"] - other["iou"]
    text = f"{difference:+.2f}"
    if min(ours["seeds"], other["seeds"]) < 2:
        return f"{text}, one seed"
    if abs(difference) <= ours["iou_sd"] + other["iou_sd"]:
        return f"{text}, overlap"
    pooled = ((ours["iou_sd"] ** 2 + other["iou_sd"] ** 2) / 2) ** 0.5
    return f"{text}, {abs(difference) / pooled:.1f} sd" if pooled else text
