"""Files a training leaves: the resumable state and the weights alone. Neither is ever unpickled as code."""

import io
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from dsad_core.errors import DsadError, UsageError
from dsad_core.files import write_atomic
from dsad_training.networks.build import build_network
from dsad_training.networks.network import Network
from dsad_training.recipe import Recipe, build_recipe

STATE_FILE = "state.pt"
WEIGHTS_FILE = "weights.safetensors"


class CheckpointError(DsadError):
    """A checkpoint that is missing, damaged, or not one of ours."""


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write everything a resumed run needs (tensors and plain values only)."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(folder / STATE_FILE, buffer.getvalue())


def load_state(folder: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote.

    Raises:
        CheckpointError: the file is missing, truncated, foreign, or would need unpickling of code.
    """
    path = Path(folder) / STATE_FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; there is no run to resume in {folder}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises half a dozen types for a damaged file, none of them its own
        raise CheckpointError(f"{path}: damaged or not a training state; start the run anew") from None
    if not isinstance(state, dict) or not {"recipe", "facts", "step", "network"} <= state.keys():
        raise CheckpointError(f"{path}: not a training state of this project")
    return state


def save_weights(folder: Path, weights: dict[str, Tensor], recipe: Recipe, facts: dict[str, Any]) -> None:
    """Write the network's weights with the recipe and ``facts`` about the run in the file's header."""
    metadata = {"recipe": recipe.model_dump_json(), "facts": json.dumps(facts)}
    dense = {name: tensor.contiguous().cpu() for name, tensor in weights.items()}
    write_atomic(folder / WEIGHTS_FILE, safetensors.torch.save(dense, metadata))


def keep_weights(path: str | Path, folder: Path) -> Path:
    """Write a run's weights in half the bytes, to be kept and distilled from; everything reads them as they are.

    Matrices become float16; biases and the statistics of BatchNorm, few and of any magnitude, stay as they are.

    Returns:
        The file in ``folder``.

    Raises:
        CheckpointError: there are no weights, or not of this project, or one is beyond float16.
        UsageError: ``folder`` already holds weights.
    """
    network, recipe, facts = load_weights(path)
    if (folder / WEIGHTS_FILE).exists():
        raise UsageError(f"{folder} already holds weights; choose another folder")
    kept = {
        name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in network.state_dict().items()
    }
    for name, tensor in kept.items():
        if not tensor.isfinite().all():
            raise CheckpointError(
                f"{weights_path(path)}: {name} is not finite in float16; keep the run itself"
            )
    save_weights(folder, kept, recipe, facts)
    return folder / WEIGHTS_FILE


def weights_path(path: str | Path) -> Path:
    """The weights file of a run's folder, or the file itself."""
    path = Path(path)
    return path / WEIGHTS_FILE if path.is_dir() else path


def load_weights(path: str | Path) -> tuple[Network, Recipe, dict[str, Any]]:
    """Network in eval mode, its recipe and the run's facts, from a weights file or a run's folder.

    Raises:
        CheckpointError: the file is missing, truncated, foreign, or does not fit its network.
    """
    path = weights_path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give a run's folder or its {WEIGHTS_FILE}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (safetensors.SafetensorError, OSError):
        raise CheckpointError(f"{path}: damaged or not a safetensors file") from None
    if "recipe" not in metadata:
        raise CheckpointError(f"{path}: holds no recipe, so it was not written by this project")
    recipe = build_recipe(json.loads(metadata["recipe"]), origin=str(path))
    network = build_network(recipe.network)
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        name = f"{recipe.network.name}-num{recipe.network.width}"
        raise CheckpointError(f"{path}: weights do not fit {name}") from None
    return network.eval(), recipe, json.loads(metadata.get("facts", "{}"))
