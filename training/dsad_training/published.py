"""Weights that others published, put into this project's networks.

AMFU-Net by its authors (cwon789/AMFU-net), DNANet by its authors (YeRen123455/Infrared-Small-Target-Detection) and
by BasicIRSTD (XinyiYing/BasicIRSTD). Their networks are ours under other names.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsad_core.errors import UsageError
from dsad_core.files import sha256_file
from dsad_training.checkpoint import WEIGHTS_FILE, CheckpointError, save_weights
from dsad_training.networks.build import build_network
from dsad_training.recipe import Recipe, build_recipe

#: What the official scripts of DNANet and AMFU-Net subtract from and divide the three channels by.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: Keys shown of each kind that does not fit.
SHOWN = 5

#: A pattern of their names, and ours; the numbers found in theirs go to the function.
Rule = tuple[str, Callable[..., str]]

BLOCK = {
    "conv1": "body.0",
    "bn1": "body.1",
    "conv2": "body.3",
    "bn2": "body.4",
    "ca.fc1": "channel.mlp.0",
    "ca.fc2": "channel.mlp.2",
    "sa.conv1": "spatial.conv",
}
RULES: dict[str, list[Rule]] = {
    "dnanet": [
        (r"conv0_4_final\.0", lambda: "fusion"),
        (r"conv0_(\d)_1x1", lambda column: f"laterals.{4 - column}.0"),
        (r"conv(\d)_(\d)\.(\d)", lambda level, column, block: f"nodes.x{level}{column}.{block}"),
        (r"final(\d)", lambda head: f"heads.{head - 1}"),
    ],
    "amfunet": [
        (r"cat_attn", lambda: "attention"),
        (r"h(\d)_(?:PT|Cat)_hd(\d)_conv", lambda source, level: f"skips.{level - 1}.{source - 1}.1.0"),
        (r"h(\d)_(?:PT|Cat)_hd(\d)_bn", lambda source, level: f"skips.{level - 1}.{source - 1}.1.1"),
        (r"hd(\d)_UT_hd(\d)_conv", lambda source, level: f"skips.{level - 1}.{source - 1}.1.0"),
        (r"hd(\d)_UT_hd(\d)_bn", lambda source, level: f"skips.{level - 1}.{source - 1}.1.1"),
        (r"conv(\d)d_1", lambda level: f"decoder.{level - 1}.0"),
        (r"bn(\d)d_1", lambda level: f"decoder.{level - 1}.1"),
        (r"conv(\d)", lambda level: f"encoder.{level - 1}"),
        (r"outconv(\d)", lambda level: f"heads.{level - 1}"),
    ],
}


def import_weights(
    path: Path,
    network: str,
    width: int,
    out: Path,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    trained_on: str | None = None,
) -> Path:
    """Write published weights as a run's folder, which is evaluated, compiled and learnt from like any other.

    Args:
        path: a checkpoint of torch: a state dict, or a dict that holds one under ``state_dict``.
        network: ``dnanet`` or ``amfunet``.
        width: channels of its first level.
        mean, std: of the image, full scale 1, one or three values each; by default ImageNet's, which the
            official scripts use. Weights of one input channel have no default.
        trained_on: name of the data set, for the record.

    Returns:
        The file in ``out``.

    Raises:
        CheckpointError: the file cannot be read without running code, or its keys or shapes do not fit.
        UsageError: no map of this network's keys, no normalisation, or ``out`` already holds weights.
    """
    if network not in RULES:
        raise UsageError(f"--network {network}: published weights are known of {', '.join(sorted(RULES))}")
    if (out / WEIGHTS_FILE).exists():
        raise UsageError(f"{out} already holds weights; choose another folder with --out")
    weights = {ours(name, network): value for name, value in read_checkpoint(path).items()}
    grey = [
        name for name, value in weights.items() if value.ndim == 4 and value.shape[1] == 1 and _reads(name)
    ]
    for name in grey:
        # Our networks read the grey image three times.
        weights[name] = weights[name].expand(-1, 3, -1, -1) / 3
    if not (mean and std):
        if grey:
            raise UsageError(f"{path}: weights of one input channel; give --mean and --std of their training")
        mean, std = IMAGENET
    recipe = recipe_of(path, network, width, mean, std)
    check_fit(weights, build_network(recipe.network).state_dict(), path, recipe)
    facts: dict[str, Any] = {
        "step": 0,
        "images": 0,
        "train_images": 0,
        "split_hash": "",
        "changes": [f"imported from {path.name}, SHA-256 {sha256_file(path)}"],
    }
    if trained_on:
        facts["data"] = trained_on
    out.mkdir(parents=True, exist_ok=True)
    save_weights(out, weights, recipe, facts)
    return out / WEIGHTS_FILE


def recipe_of(
    path: Path, network: str, width: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Recipe:
    """What this project can say of weights that it did not train."""
    level, deviation = (values[0] if len(values) == 1 else values for values in (mean, std))
    content = {
        "name": path.name.split(".")[0],
        "network": {"name": network, "width": width},
        "data": {"mean": level, "std": deviation, "validation": 0},
        # A recipe has a phase; `step: 0` among the facts says that it was not run.
        "phases": [{"steps": 1, "batch": 2, "crop": 256, "lr": 1e-3}],
    }
    return build_recipe(content, origin=str(path))


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint, read without running code; ``module.`` and ``model.`` before names are gone.

    Raises:
        CheckpointError: the file is missing, damaged, no state dict, or would need unpickling of code.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals(numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises half a dozen types for a damaged file, none of them its own
        raise CheckpointError(f"{path}: damaged, or holds more than tensors and numbers") from None
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    if not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no state dict of a network")
    return {re.sub(r"^(?:module\.|model\.)+", "", name): value for name, value in content.items()}


def numbers() -> list[Any]:
    """What a NumPy number is unpickled by: training scripts keep their scores beside the weights."""
    core = np._core if hasattr(np, "_core") else np.core
    kinds = {type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)}
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((core.multiarray.scalar, name) for name in names), np.dtype, *kinds]


def ours(name: str, network: str) -> str:
    """Our name of one of their weights; theirs where no rule fits."""
    for pattern, place in RULES[network]:
        if found := re.match(rf"{pattern}\.", name):
            rest = name[found.end() :]
            for theirs, mine in BLOCK.items():
                if rest.startswith(f"{theirs}."):
                    rest = mine + rest.removeprefix(theirs)
                    break
            return f"{place(*map(int, found.groups()))}.{rest}"
    return name


def check_fit(weights: dict[str, Tensor], own: dict[str, Tensor], path: Path, recipe: Recipe) -> None:
    """Raise a CheckpointError that names the keys and shapes that do not fit the network."""
    faults = []
    for what, names in (
        ("unexpected", weights.keys() - own.keys()),
        ("missing", own.keys() - weights.keys()),
    ):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            faults.append(f"{what} {', '.join(sorted(names)[:SHOWN])}{more}")
    for name in sorted(weights.keys() & own.keys()):
        if weights[name].shape != own[name].shape:
            shapes = (str(tuple(each[name].shape)) for each in (weights, own))
            faults.append(f"{name} is {' in place of '.join(shapes)}: another --width?")
            break
    if faults:
        part = recipe.network
        raise CheckpointError(f"{path}: does not fit {part.name} of width {part.width}: {'; '.join(faults)}")


def _reads(name: str) -> bool:
    """Whether it is a convolution that reads the image."""
    first = r"(?:encoder\.0|nodes\.x00\.0)\.(?:body|shortcut)\.0\.weight"
    return re.fullmatch(first, name) is not None
