"""What the manifest of a compiled engine says, and what the engine is called."""

import re
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dsad_core.engines.manifest import Manifest, Normalisation, Precision, Provenance
from dsad_core.files import sha256_file
from dsad_training.compile.graph import OPSET
from dsad_training.cost import cost, parameters
from dsad_training.networks.branches import fold
from dsad_training.recipe import Recipe


def engine_name(
    recipe: Recipe, facts: dict[str, Any], precision: Precision, size: tuple[int, int] | None, target: str
) -> str:
    """What it is: ``dnanet-num4-nudt``, and whatever sets it apart from the plain engine of that network.

    That is the spatial attention DSA, the distiller, the precision, for int8 the target if it is not the CPU,
    and the (height, width) of a graph of fixed size, as in ``dnanet-num4-nudt-dsa-dsad-int8-agx-640x512``.
    """
    part = recipe.network
    data_sets = (
        [name.partition("-")[0].lower() for name in facts["data"].split(" + ")] if "data" in facts else []
    )
    words = [part.name, f"num{part.width}", *data_sets]
    if part.spatial == "dsa":
        words.append("dsa")
    if recipe.distillation:
        words.append(recipe.distillation.method)
    if precision != "fp32":
        words.append(precision)
    if precision == "int8" and target != "cpu":
        words.append(target)
    if size:
        words.append(f"{size[1]}x{size[0]}")
    return re.sub(r"[^a-z0-9._-]+", "-", "-".join(words)).strip("._-")


def engine_manifest(
    name: str,
    model: Path,
    network: nn.Module,
    recipe: Recipe,
    facts: dict[str, Any],
    precision: Precision,
    size: tuple[int, int] | None,
    epochs: float,
) -> Manifest:
    """The manifest of ``model``, still without parity and test results.

    Args:
        network, recipe, facts: as ``checkpoint.load_weights`` gives them.
        epochs: how often the training saw each pixel of the training splits.
    """
    return Manifest(
        name=name,
        **network_fields(network, recipe),
        training_data=f"{facts['data']} train" if "data" in facts else None,
        sha256=sha256_file(model),
        precision=precision,
        size=size,
        provenance=Provenance(
            commit=commit(),
            recipe=recipe.name,
            recipe_content=recipe.model_dump(exclude={"name"}, exclude_defaults=True),
            seed=recipe.seed,
            split_hash=facts["split_hash"],
            steps=facts["step"],
            images_seen=facts["images"],
            epochs=epochs,
            train_images=facts["train_images"],
            recipe_changes=facts["changes"],
            **{key: facts[key] for key in ("teacher_sha256", "start_sha256") if key in facts},
            torch=torch.__version__,
        ),
    )


def network_fields(network: nn.Module, recipe: Recipe) -> dict[str, Any]:
    """What a manifest says of the network itself, compiled or not."""
    part = recipe.network
    return {
        "network": part.name,
        "width": part.width,
        "distiller": recipe.distillation.method if recipe.distillation else None,
        "normalisation": normalisation(recipe),
        "input_channels": len(normalisation(recipe).mean),
        "size_multiple": network.size_multiple,
        "threshold": 0.5,
        "opset": OPSET,
        "parameters": parameters(network),
        "cost_gmac": round(cost(fold(network)) / 1e9, 4),
    }


def normalisation(recipe: Recipe) -> Normalisation:
    """Of the one grey channel that an engine reads, or of three where each has its own."""
    mean, std = (
        values if isinstance(values, tuple) else (values,) for values in (recipe.data.mean, recipe.data.std)
    )
    return Normalisation(mean=mean, std=std)


def commit() -> str:
    """Commit of the checkout that this file lies in, or nothing outside of one."""
    here = Path(__file__).parent
    result = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else ""
