"""The paper's rows joined with what was trained here."""

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dsad_core.engines.manifest import TestResult
from dsad_training.tables.ours import Trained, Training, Variant
from dsad_training.tables.paper import DataSet, Paper, Row, load_paper


@dataclass(frozen=True)
class Figure:
    """A mean over seeds and its sample deviation; None where there is one seed, or no value at all."""

    mean: float | None
    deviation: float | None

    @classmethod
    def over(cls, values: list[float | None], scale: float) -> "Figure":
        known = [value * scale for value in values if value is not None]
        return cls(
            statistics.fmean(known) if known else None,
            statistics.stdev(known) if len(known) > 1 else None,
        )


@dataclass(frozen=True)
class Outcome:
    """What a row scored here on one data set: trainings that differ in nothing but the seed.

    Attributes:
        trials: each training with its result; recipe, budget, threshold and matching are the same in all.
    """

    trials: list[tuple[Training, TestResult]]

    @property
    def iou(self) -> Figure:
        """In percent."""
        return Figure.over([result.iou for _, result in self.trials], 100)

    @property
    def pd(self) -> Figure:
        """In percent."""
        return Figure.over([result.pd for _, result in self.trials], 100)

    @property
    def fa(self) -> Figure:
        """In 1e-5."""
        return Figure.over([result.fa for _, result in self.trials], 1e5)

    @property
    def facts(self) -> dict[str, Any]:
        """What the figures have to be read with."""
        training, result = self.trials[0]
        distillation = training.content.get("distillation") or {}
        return {
            "models": [each.folder.name for each, _ in self.trials],
            "recipe": training.recipe,
            "recipe_changes": training.changes,
            "distiller_options": distillation.get("options", {}),
            "distiller_weight": distillation.get("weight"),  # None: the method's own
            "images_seen": training.images_seen,
            "started_from": training.content.get("start"),
            "seeds": [each.seed for each, _ in self.trials],
            "training_data": training.training_data,
            "training_split_hash": training.split_hash,
            "split": f"{result.data_set} {result.split}",
            "split_hash": result.split_hash,
            "images": result.images,
            "targets": result.targets,
            "threshold": result.threshold,
            "matching": result.matching,
            "parameters": training.parameters,
            "cost_gmac": training.cost_gmac,
        }

    def to_dict(self) -> dict[str, Any]:
        return {**{key: asdict(getattr(self, key)) for key in ("iou", "pd", "fa")}, **self.facts}


@dataclass(frozen=True)
class JoinedRow:
    """A row of the paper and what it scored here, by the key of the data set; an empty list is "not run"."""

    name: str
    row: Row
    ours: dict[str, list[Outcome]]

    def to_dict(self) -> dict[str, Any]:
        paper = load_paper()
        network = paper.networks[self.row.network]
        names = {key: paper.data_sets[key].name for key in self.ours}
        scores = {key: self.row.scores[key].model_dump() for key in self.ours}
        return {
            "row": self.name,
            "method": self.row.label,
            "network": network.model_dump(include={"name", "width", "spatial"}),
            "distiller": self.row.distiller,
            "params_m": float(network.params),
            "flops_g": float(network.flops),
            "paper": {names[key]: {k: float(v) for k, v in scores[key].items()} for key in names},
            "ours": {names[key]: [outcome.to_dict() for outcome in self.ours[key]] for key in names},
        }


@dataclass(frozen=True)
class JoinedTable:
    """One of Tables 1 to 6 with ours; ``notes`` say what was found for its rows and yet not counted."""

    number: int
    rows: list[JoinedRow]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON. IoU and Pd in percent, Fa in 1e-5."""
        return {
            "table": self.number,
            "caption": load_paper().table(self.number).caption,
            "units": {"iou": "percent", "pd": "percent", "fa": "1e-5"},
            "rows": [row.to_dict() for row in self.rows],
            "notes": self.notes,
        }


def join(number: int, trained: Trained) -> JoinedTable:
    """The paper's table beside what was trained here.

    A training belongs to a row when network, width, spatial attention, distiller and DSAD's weights agree.
    Its result counts on a data set when it was trained on the training part and scored on the whole test
    part of the paper's own split, known by their hashes whatever the folder was called.

    Raises:
        UsageError: no such table.
    """
    paper = load_paper()
    rows, notes = [], []
    for name, row in paper.table(number).rows.items():
        variant = variant_of(row, paper)
        mine = [training for training in trained.trainings if training.variant == variant]
        data_sets = {key: paper.data_sets[key] for key in row.scores}
        rows.append(JoinedRow(name, row, {key: _outcomes(mine, value) for key, value in data_sets.items()}))
        notes += _not_counted(f"table{number}/{name}", mine, list(data_sets.values()))
    return JoinedTable(number, rows, notes + trained.unreadable)


def variant_of(row: Row, paper: Paper) -> Variant:
    network = paper.networks[row.network]
    weights = row.weights if row.distiller == "dsad" else None
    return Variant(network.name, network.width, network.spatial, row.distiller, weights)


def _outcomes(trainings: list[Training], data_set: DataSet) -> list[Outcome]:
    """The results on a data set, those that differ in the seed alone together."""
    groups = defaultdict(list)
    for training in trainings:
        for result in _counted(training, data_set):
            groups[training.protocol, result.threshold, result.matching].append((training, result))
    return [Outcome(trials) for trials in groups.values()]


def _counted(training: Training, data_set: DataSet) -> list[TestResult]:
    if training.split_hash != data_set.train:
        return []
    whole = (data_set.test, data_set.test_images)
    return [result for result in training.results if (result.split_hash, result.images) == whole]


def _not_counted(row: str, trainings: list[Training], data_sets: list[DataSet]) -> Iterator[str]:
    names = " or ".join(data_set.name for data_set in data_sets)
    for training in trainings:
        what = f"{training.kind} {training.folder} fits {row} but"
        if not training.results:
            again = (
                "compile it again without --no-test"
                if training.kind == "engine"
                else (f"dsad compile {training.folder} --data <data set>")
            )
            yield f"{what} has no test result: {again}"
        elif not any(_counted(training, data_set) for data_set in data_sets):
            yield f"{what} was not trained and tested on the paper's whole split of {names}"
