"""What every engine offers, whatever runtime is under it."""

from pathlib import Path
from typing import Protocol

import numpy as np

from dsad_core.engines.manifest import Manifest


class Engine(Protocol):
    """A network ready to run.

    Attributes:
        manifest: what the network is.
        platform: cpu, cuda, agx or ascend.
        description: what really runs it, e.g. "onnxruntime 1.20.0 CPUExecutionProvider, 2 threads".
        builds: the first frame of a size makes it build files for the device, for seconds to minutes.
        backend: direct, openvino, onnxruntime, tensorrt, acl, or torch for a checkpoint.
        precision: what it computes in.
        passed_over: backends that the platform prefers and that do not run, each with the reason.
        folder: of the engine, or the checkpoint. The loader sets these four.
    """

    manifest: Manifest
    platform: str
    description: str
    builds: bool
    backend: str
    precision: str
    passed_over: tuple[str, ...]
    folder: Path

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Logits of one normalised frame.

        Args:
            tensor: (1, C, H, W) float32, C-contiguous, H and W multiples of
                ``manifest.size_multiple``.

        Returns:
            (H, W) float32, valid until the next call.

        Raises:
            EngineError: a tensor that does not fit, or a failure of the runtime.
        """

    def close(self) -> None:
        """Free the network. ``infer`` must not be called afterwards."""
