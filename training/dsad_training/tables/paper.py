"""The paper's Tables 1 to 7 as typed data, read from ``paper.yaml``."""

import functools
from decimal import Decimal
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from dsad_core.errors import UsageError

LATENCY_TABLE = 7
SetKey = Literal["nudt", "nuaa"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scores(Part):
    """``iou`` and ``pd`` in percent, ``fa`` in 1e-5; decimals, so that they print as the paper has them."""

    iou: Decimal
    pd: Decimal
    fa: Decimal


def _scores(value: Any) -> Any:
    return dict(zip(("iou", "pd", "fa"), value.split(), strict=True)) if isinstance(value, str) else value


ScoresText = Annotated[Scores, BeforeValidator(_scores)]


class DataSet(Part):
    """A data set under the paper's split; ``train`` and ``test`` are the split hashes."""

    name: str
    train_images: int
    train: str
    test_images: int
    test: str


class Network(Part):
    """A network as the paper names it; ``params`` in 1e6, ``flops`` in 1e9."""

    name: Literal["dnanet", "amfunet", "dmfnet"]
    width: int
    spatial: Literal["cbam", "dsa", "none"]
    params: Decimal
    flops: Decimal
    teacher: str | None = None


class Row(Part):
    """One training: a network, how it is distilled (``weights``: DSAD's map M), and what it scored."""

    network: str
    method: str = ""
    distiller: str | None = None
    weights: Literal["dsa", "sa", "ones"] = "dsa"
    nudt: ScoresText
    nuaa: ScoresText | None = None

    @property
    def label(self) -> str:
        return self.method or self.network

    @property
    def scores(self) -> dict[SetKey, Scores]:
        """The figures by the key of their data set."""
        keys: tuple[SetKey, ...] = ("nudt", "nuaa")
        return {key: scores for key in keys if (scores := getattr(self, key)) is not None}


class PaperTable(Part):
    """Tables 1 to 6. ``student`` is the network of the rows that name none."""

    caption: str
    rows: dict[str, Row]

    @model_validator(mode="before")
    @classmethod
    def _name_the_student(cls, content: dict[str, Any]) -> dict[str, Any]:
        student = {"network": content["student"]} if "student" in content else {}
        rows = {name: {**student, **row} for name, row in content["rows"].items()}
        return {"caption": content["caption"], "rows": rows}

    @property
    def data_sets(self) -> list[str]:
        """Keys of the data sets that the table has figures for."""
        return [key for key in ("nudt", "nuaa") if any(key in row.scores for row in self.rows.values())]


class Latency(Part):
    """Teacher's and student's ms for one image, what the student saves (ms) and how many times faster."""

    teacher: Decimal
    student: Decimal
    decline: Decimal
    speedup: Decimal


class LatencyTable(Part):
    """Table 7: for each platform one entry for each pair of teacher and student."""

    caption: str
    pairs: list[tuple[str, str]]
    platforms: dict[str, list[Latency]]


class Paper(Part):
    """Everything that the paper prints as a table."""

    data_sets: dict[str, DataSet]
    networks: dict[str, Network]
    tables: dict[int, PaperTable]
    latency: LatencyTable

    def table(self, number: int) -> PaperTable:
        """Table 1 to 6."""
        if number not in self.tables:
            raise UsageError(f"table {number}: the paper has Tables 1 to {LATENCY_TABLE}")
        return self.tables[number]


@functools.cache
def load_paper() -> Paper:
    """The paper's tables."""
    return Paper.model_validate(yaml.safe_load((files(__package__) / "paper.yaml").read_text()))
