"""A trained network in torch as it is, or compiled by torch, held against the engine of the same weights."""

import numpy as np
import torch

from dsad_core.errors import EngineError, PlatformError, UsageError
from dsad_tools.bench.models import Model
from dsad_training.checkpoint import load_weights

DEVICES = {"cpu": "cpu", "cuda": "cuda", "agx": "cuda"}


class TorchContender:
    """The network itself, all its heads computed, in float32; see ``dsad_core.engines.protocol.Engine``.

    Args:
        subject: has a checkpoint.
        size: (height, width) that it is compiled for.
        layout: of weights and activations, ``contiguous_format`` or ``channels_last``.
        compiled: by torch.compile for this size, the whole network in one piece; on a GPU with CUDA graphs.

    Raises:
        CheckpointError: the weights are missing, damaged or foreign.
        PlatformError: torch has no such device here.
        EngineError: torch.compile failed.
    """

    builds = False

    def __init__(
        self, subject: Model, target: str, threads: int, size: tuple[int, int], layout: str, compiled: bool
    ):
        if target not in DEVICES:
            raise PlatformError(f"torch does not run on {target}")
        if DEVICES[target] == "cuda" and not torch.cuda.is_available():
            raise PlatformError(f"torch {torch.__version__} finds no CUDA device")
        self.manifest = subject.manifest
        self.platform = target
        self.description = f"torch {torch.__version__}"
        self._device = torch.device(DEVICES[target])
        self._threads = threads
        self._compiled = compiled
        if subject.checkpoint is None:
            raise UsageError(f"{subject.manifest.name}: has no weights that torch could run")
        network = load_weights(subject.checkpoint)[0]
        self._network = network.to(self._device, memory_format=getattr(torch, layout))  # type: ignore[call-overload]
        if compiled:
            # A graph break or a second shape would fall back to eager in silence without fullgraph.
            mode = "reduce-overhead" if self._device.type == "cuda" else "default"
            self._network = torch.compile(self._network, fullgraph=True, dynamic=False, mode=mode)
        self.infer(np.zeros((1, 1, *size), np.float32))

    @torch.inference_mode()
    def infer(self, tensor: np.ndarray) -> np.ndarray:
        # The number belongs to the process, where contenders of other numbers take turns.
        torch.set_num_threads(self._threads)
        try:
            return self._network(torch.from_numpy(tensor).to(self._device))[-1][0, 0].cpu().numpy()
        except Exception as error:  # the compiler's errors are of many types
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise EngineError(f"torch failed: {' '.join(lines[0].split())}") from error

    def close(self) -> None:
        self._network = None
        if self._compiled:
            torch._dynamo.reset()
