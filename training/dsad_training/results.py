"""The one CSV of results: a line for each run and each part of its data set that it was scored on."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from dsad_core.errors import DataError

#: What the tables print: the lines of every run that was kept.
RESULTS = Path(__file__).parents[1] / "results.csv"
#: Columns that may be empty.
OPTIONAL = ("gradient_ratio", "weight", "minutes", "iou", "niou", "pd", "fa")


@dataclass(frozen=True)
class Line:
    """One run scored on one part of its data set.

    Attributes:
        kind: ``teacher``, ``row``, ``longer`` and ``sweep`` of a plan; ``earlier`` for runs from before the plan.
        weight: the distiller's beside the task's loss, 0 for ``alone``; empty for what a method had of its own.
        gradient_ratio: |gradient of the teacher's part| / |gradient of the task| after the last step, or None.
        images: crops that it was trained on; minutes: of one core, or of the GPU, that the run takes alone.
        iou, niou, pd: shares of 1; fa: share of the pixels.
        split_hash: of the ids of what it was scored on.
    """

    run: str
    kind: str
    network: str
    width: int
    spatial: str
    data_set: str
    method: str
    map: str
    seed: int
    weight: float | None
    gradient_ratio: float | None
    images: int
    minutes: float | None
    split: str
    iou: float | None
    niou: float | None
    pd: float | None
    fa: float | None
    hits: int
    targets: int
    grid: int
    threshold: float
    split_hash: str
    device: str
    commit: str


COLUMNS = [field.name for field in fields(Line)]


def append(path: Path, lines: list[Line]) -> None:
    """Add lines to the file, which gets its header with the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerows(asdict(line) for line in lines)


def read(path: Path) -> pd.DataFrame:
    """The lines of the file; none where there is no file yet.

    Raises:
        DataError: the file has other columns.
    """
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        found = pd.read_csv(path, keep_default_na=False, na_values=dict.fromkeys(OPTIONAL, [""]))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raise DataError(f"{path}: not a CSV file of results") from None
    if list(found.columns) != COLUMNS:
        raise DataError(f"{path}: columns are not those of the results; move the file away to start anew")
    return found


def best_weights(lines: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The weight of each network and method: that of the sweep's best validation IoU."""
    swept = lines[(lines["kind"] == "sweep") & (lines["split"] == "validation")]
    swept = swept.fillna({"iou": 0.0})
    best = swept.sort_values("iou", ascending=False).groupby(["network", "method"]).first()
    weights: Any = best["weight"].items()
    return {key: float(weight) for key, weight in weights}


def weights_table(lines: pd.DataFrame) -> pd.DataFrame:
    """What the sweep of weights found, a line for each network, method and weight.

    Columns ``network``, ``method``, ``weight``, ``iou`` (validation, %), ``ratio`` (|gradient of the teacher's part| /
    |gradient of the task|), ``chosen``.
    """
    swept = lines[(lines["kind"] == "sweep") & (lines["split"] == "validation")]
    best = best_weights(lines)
    found = swept.sort_values(["network", "method", "weight"])[["network", "method", "weight"]].assign(
        iou=100 * swept["iou"], ratio=swept["gradient_ratio"]
    )
    chosen = [best[network, method] == weight for network, method, weight in found.values[:, :3]]
    return found.assign(chosen=chosen)
