"""What was trained here and how it scored: engines, runs, and the records that ``dsad evaluate`` leaves."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors

from dsad_core.engines.manifest import MANIFEST_FILE, TestResult, read_manifest
from dsad_core.errors import DsadError
from dsad_core.files import sha256_file
from dsad_training.checkpoint import WEIGHTS_FILE
from dsad_training.recipe import build_recipe, network_part


@dataclass(frozen=True)
class Variant:
    """What tells one row from another; ``weights`` is the map M of DSAD's loss, None for all else."""

    network: str
    width: int
    spatial: str
    distiller: str | None
    weights: str | None

    @classmethod
    def of_recipe(cls, content: dict[str, Any]) -> "Variant":
        """The variant that a recipe's content trains.

        Raises:
            UsageError: it describes no network of this project.
        """
        network = network_part(**content.get("network", {}))
        distillation = content.get("distillation") or {}
        method = distillation.get("method")
        weights = distillation.get("options", {}).get("weights", "dsa") if method == "dsad" else None
        return cls(network.name, network.width, network.spatial, method, weights)


@dataclass(frozen=True)
class Training:
    """One training and its test results.

    Attributes:
        kind: ``engine`` or ``run``; folder: where it lies; sha256: of its model or weights file.
        recipe: the recipe's name; content: what of it differs from the defaults, seed included.
        teacher_sha256, start_sha256: of the weights it learned from and went on from.
        split_hash: of the training split; changes: made to the recipe while the run was on its way.
        parameters, cost_gmac: None for a run, whose file doesn't say.
    """

    variant: Variant
    kind: str
    folder: Path
    sha256: str
    recipe: str
    content: dict[str, Any]
    training_data: str
    split_hash: str | None
    images_seen: int | None
    changes: list[str]
    teacher_sha256: str | None = None
    start_sha256: str | None = None
    parameters: int | None = None
    cost_gmac: float | None = None
    results: list[TestResult] = field(default_factory=list)

    @property
    def seed(self) -> int:
        return self.content.get("seed", 0)

    @property
    def protocol(self) -> str:
        """Equal for trainings that differ in nothing but the seed; what they build on counts, not its place."""
        content = {key: value for key, value in self.content.items() if key != "seed"}
        if content.get("distillation"):
            content["distillation"] = {**content["distillation"], "teacher": self.teacher_sha256}
        if content.get("start"):
            content["start"] = self.start_sha256
        return json.dumps([content, self.images_seen, self.changes], sort_keys=True)

    def same_as(self, other: "Training") -> bool:
        """Whether an engine was compiled from a run."""
        key = (self.protocol, self.seed, self.split_hash)
        return key == (other.protocol, other.seed, other.split_hash)


@dataclass(frozen=True)
class Trained:
    """Everything found; ``unreadable`` has a line for each engine or run that could not be read."""

    trainings: list[Training]
    unreadable: list[str] = field(default_factory=list)


def find_trained(engines: Iterable[Path], folders: Iterable[Path]) -> Trained:
    """Look at engine folders, and for engines, runs and evaluation records at any depth of ``folders``.

    An evaluation record belongs to the model whose SHA-256 it names, wherever it lies. A training counts
    once: as its engine where it was compiled. Engines that no recipe made (the baseline) are passed over, those
    of reduced precision or fixed size, which are other forms of a network that is tested in full, and those
    trained on a union, which the paper has none of.
    """
    folders, unreadable = list(folders), []
    manifests = [path.parent for folder in folders for path in sorted(folder.rglob(MANIFEST_FILE))]
    found: dict[str, Training] = {}
    for folder in [*engines, *manifests]:
        try:
            if (training := _read_engine(folder)) is not None:
                found.setdefault(training.sha256, training)
        except DsadError as error:
            unreadable.append(f"left out {folder}: {error}")
    compiled = list(found.values())
    for path in (path for folder in folders for path in sorted(folder.rglob(WEIGHTS_FILE))):
        try:
            training = _read_run(path)
        except (DsadError, safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
            unreadable.append(f"left out {path}: not a run's weights ({error})")
        else:
            known = any(training.same_as(engine) for engine in compiled)
            if not known and not _of_a_union(training.content):
                found.setdefault(training.sha256, training)
    for sha256, result in _records(folders):
        if sha256 in found and not any(_same_test(result, known) for known in found[sha256].results):
            found[sha256] = replace(found[sha256], results=[*found[sha256].results, result])
    return Trained(list(found.values()), unreadable)


def _read_engine(folder: Path) -> Training | None:
    manifest = read_manifest(folder)
    made = manifest.provenance.model_extra or {}
    if "recipe_content" not in made or manifest.precision != "fp32" or manifest.size is not None:
        return None
    if _of_a_union(made["recipe_content"]):
        return None
    return Training(
        variant=Variant.of_recipe(made["recipe_content"]),
        kind="engine",
        folder=folder,
        sha256=manifest.sha256,
        recipe=manifest.provenance.recipe,
        content=made["recipe_content"],
        training_data=manifest.training_data or "",
        split_hash=made.get("split_hash"),
        images_seen=made.get("images_seen"),
        changes=made.get("recipe_changes", []),
        teacher_sha256=made.get("teacher_sha256"),
        start_sha256=made.get("start_sha256"),
        parameters=manifest.parameters,
        cost_gmac=manifest.cost_gmac,
        results=manifest.test_results,
    )


def _of_a_union(content: dict[str, Any]) -> bool:
    return bool(content.get("data", {}).get("sources"))


def _read_run(path: Path) -> Training:
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata() or {}
    recipe = build_recipe(json.loads(metadata["recipe"]), origin="recipe")
    facts = json.loads(metadata["facts"])
    content = recipe.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    return Training(
        variant=Variant.of_recipe(content),
        kind="run",
        folder=path.parent,
        sha256=sha256_file(path),
        recipe=recipe.name,
        content=content,
        training_data=f"{facts['data']} train",
        split_hash=facts["split_hash"],
        images_seen=facts["images"],
        changes=facts["changes"],
        teacher_sha256=facts.get("teacher_sha256"),
        start_sha256=facts.get("start_sha256"),
    )


def _records(folders: list[Path]) -> Iterator[tuple[str, TestResult]]:
    """Model hash and result of each record of a data set below the folders; other JSON files are none."""
    counts = ("hits", "predictions", "false_targets", "false_pixels", "intersection", "union", "pixels")
    for path in (path for folder in folders for path in sorted(folder.rglob("*.json"))):
        try:
            content = json.loads(path.read_text())
            facts, metrics = content["run"], content["metrics"]
            yield (
                facts["engine_sha256"],
                TestResult(
                    data_set=facts["source"],
                    **{key: facts[key] for key in ("split", "split_hash", "threshold", "matching")},
                    images=metrics["frames"],
                    **{key: metrics[key] for key in ("targets", "iou", "niou", "pd", "fa")},
                    counts={key: metrics[key] for key in counts},
                ),
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _same_test(one: TestResult, other: TestResult) -> bool:
    key = (one.split_hash, one.threshold, one.matching)
    return key == (other.split_hash, other.threshold, other.matching)
