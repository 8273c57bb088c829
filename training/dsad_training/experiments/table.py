"""The one CSV of results: a line for each run and each part of its data set that it was scored on."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from dsad_core.errors import DataError


@dataclass(frozen=True)
class Line:
    """One run scored on one part of its data set.

    Attributes:
        weight: the distiller's beside the task's loss, 0 for ``alone``.
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
    weight: float
    gradient_ratio: float | None
    images: int
    minutes: float
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
        found = pd.read_csv(path, keep_default_na=False, na_values={"gradient_ratio": [""], "fa": [""]})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raise DataError(f"{path}: not a CSV file of results") from None
    if list(found.columns) != COLUMNS:
        raise DataError(f"{path}: columns are not those of the results; move the file away to start anew")
    return found


def best_weights(lines: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The weight of each network and method: that of the sweep's best validation IoU."""
    swept = lines[(lines["kind"] == "sweep") & (lines["split"] == "validation")]
    swept = swept.assign(iou=pd.to_numeric(swept["iou"], errors="coerce").fillna(0.0))
    best = swept.sort_values("iou", ascending=False).groupby(["network", "method"]).first()
    return {key: float(weight) for key, weight in best["weight"].items()}
