"""From a row of the paper's tables and a protocol to a recipe."""

import math
from importlib.resources import files
from typing import Any

import yaml

from dsad_core.errors import UsageError
from dsad_training.tables.paper import Network, Row, load_paper

#: The paper's budget, and the side of the crops that its epochs are counted in.
EPOCHS = 1500.0
SIDE = 256


def protocols() -> list[str]:
    """Names of the protocols."""
    return sorted(path.name.removesuffix(".yaml") for path in (files(__package__) / "protocols").iterdir())


def compose(
    name: str,
    protocol: str,
    data_set: str = "nudt",
    epochs: float = EPOCHS,
    seed: int = 0,
    teacher: str | None = None,
) -> dict[str, Any]:
    """Content of the recipe that trains a row by a protocol.

    A protocol is a recipe without network and distillation, whose phases have shares of a budget instead of
    steps, and whose validation part is a share of the training split. The budget is the pixels of ``epochs``
    times the training split in 256x256 crops: protocols under one budget cost the same, whatever their crops.

    Args:
        name: ``table<N>/<row>``.
        data_set: ``nudt`` or ``nuaa``.
        teacher: the teacher's run folder or weights file; for distilled rows, and for them alone.

    Raises:
        UsageError: no such row, protocol or data set, no budget, or a teacher too many or too few.
    """
    paper = load_paper()
    row = paper.row(name)
    if data_set not in row.scores:
        raise UsageError(f"data set {data_set!r}: {name} has figures for {', '.join(row.scores)}")
    if protocol not in protocols():
        raise UsageError(f"protocol {protocol!r} is not one of {', '.join(protocols())}")
    content = yaml.safe_load((files(__package__) / "protocols" / f"{protocol}.yaml").read_text())
    images = paper.data_sets[data_set].train_images
    content["data"]["validation"] = math.ceil(content["data"]["validation"] * images)
    pixels = epochs * images * SIDE**2
    network = paper.networks[row.network]
    distillation = content.pop("distillation", {})
    return {
        "name": f"{name.replace('/', '-')}-{data_set}-{protocol}",
        "network": {"name": network.name, "width": network.width, "spatial": network.spatial},
        **content,
        "seed": seed,
        "phases": [_phase(phase, pixels, epochs) for phase in content["phases"]],
        **_distillation(name, row, network, teacher, distillation),
    }


def _phase(phase: dict[str, Any], pixels: float, epochs: float) -> dict[str, Any]:
    """The phase in steps."""
    rest = {key: value for key, value in phase.items() if key not in ("share", "warm_up")}
    steps = round(phase["share"] * pixels / (phase["batch"] * phase["crop"] ** 2))
    if steps < 1:
        raise UsageError(f"{epochs:g} epochs leave a phase without a step; give more")
    return {"steps": steps, **rest, "warm_up": round(phase.get("warm_up", 0) * steps)}


def _distillation(
    name: str, row: Row, network: Network, teacher: str | None, settings: dict[str, Any]
) -> dict[str, Any]:
    if row.distiller is None:
        if teacher is not None:
            raise UsageError(f"{name} learns from no teacher: leave --teacher out")
        return {}
    if teacher is None:
        raise UsageError(f"{name} learns from {network.teacher}: train that one, give its run with --teacher")
    options = {"options": {"weights": row.weights}} if row.distiller == "dsad" else {}
    return {"distillation": {"method": row.distiller, "teacher": teacher, **settings, **options}}
