"""A trained checkpoint in the place of an engine: the runtime's detector and evaluation serve it as it is."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dsad_core.engines.manifest import Manifest, Provenance
from dsad_core.errors import EngineError, PlatformError
from dsad_core.files import sha256_file
from dsad_training.checkpoint import load_weights, weights_path
from dsad_training.compile.manifest import network_fields
from dsad_training.recipe import Recipe

TARGETS = ("cpu", "cuda")


class TorchEngine:
    """The trained network itself, see ``dsad_core.engines.protocol.Engine``.

    Its manifest is the one that its engine would have, but for ``sha256``, which is the weights file's.

    Args:
        path: a run's folder or its weights file.
        target: cpu or cuda.
        threads: CPU threads of this process's torch; None leaves them.

    Raises:
        CheckpointError: the weights are missing, damaged or foreign.
        PlatformError: torch cannot run the target here, or boards need a compiled engine.
    """

    builds = False

    def __init__(self, path: str | Path, target: str = "cpu", threads: int | None = None):
        self._device = _device(target)
        network, recipe, facts = load_weights(path)
        if threads is not None:
            torch.set_num_threads(threads)
        self.manifest = _manifest(weights_path(path), network, recipe, facts)
        self.platform = target
        self.description = f"torch {torch.__version__} {_device_name(self._device)}"
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def infer(self, tensor: np.ndarray) -> np.ndarray:
        multiple, channels = self.manifest.size_multiple, self.manifest.input_channels
        if (
            tensor.ndim != 4
            or tensor.shape[:2] != (1, channels)
            or tensor.dtype != np.float32
            or not tensor.size
            or tensor.shape[2] % multiple
            or tensor.shape[3] % multiple
        ):
            raise EngineError(
                f"checkpoint {self.manifest.name} takes float32 (1, {channels}, H, W) with sides that "
                f"are multiples of {multiple}, not {tensor.dtype} {tensor.shape}"
            )
        try:
            # The network spreads one channel over its own input channels.
            return self._network(torch.from_numpy(tensor).to(self._device))[-1][0, 0].cpu().numpy()
        except RuntimeError as error:  # torch's out-of-memory errors are of this type, too
            height, width = tensor.shape[2:]
            raise EngineError(
                f"checkpoint {self.manifest.name} failed on {width}x{height}: {' '.join(str(error).split())}"
            ) from error

    def close(self) -> None:
        self._network = None


def _device(target: str) -> torch.device:
    if target not in TARGETS:
        raise PlatformError(
            f"a checkpoint does not run on target {target!r}, only on {' and '.join(TARGETS)}; "
            "`dsad compile` makes an engine of it"
        )
    if target == "cuda" and not torch.cuda.is_available():
        raise PlatformError(f"target cuda: torch {torch.__version__} finds no CUDA device here")
    return torch.device(target)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def _manifest(weights: Path, network: nn.Module, recipe: Recipe, facts: dict[str, Any]) -> Manifest:
    folder = re.sub(r"[^a-z0-9._-]+", "-", weights.resolve().parent.name.lower()).strip("._-") or "run"
    return Manifest(
        # The step keeps it apart from the engine that the finished run was compiled to.
        name=f"{folder}.step{facts.get('step', 0)}",
        **network_fields(network, recipe),
        training_data=f"{facts['data']} train" if "data" in facts else None,
        sha256=sha256_file(weights),
        provenance=Provenance(commit="", recipe=recipe.name, seed=recipe.seed, **facts),
    )
