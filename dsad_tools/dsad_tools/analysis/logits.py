"""An engine's logits for whole frames, prepared by the same detector that serves the node."""

import numpy as np

from dsad_core.detector import Detector
from dsad_core.engines.protocol import Engine


class LogitMap:
    """Logits (H, W) float32 of frames of any size.

    The detector turns logits into a mask at one threshold and lets go of them. Between it and the
    engine, this object is an engine itself: it passes everything on and keeps the last answer, so that
    normalisation, padding and cropping are the detector's own.
    """

    def __init__(self, engine: Engine):
        self.manifest = engine.manifest
        self.target = engine.target
        self.description = engine.description
        self._engine = engine
        self._detector = Detector(self)
        self._logits = np.empty((0, 0), np.float32)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Logits of one frame (H, W) uint8, uint16 or float32; a copy.

        Raises:
            UsageError: an array of another shape or type.
            EngineError: the engine failed.
        """
        self._detector.detect(frame)
        return self._logits[: frame.shape[0], : frame.shape[1]].copy()

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        self._logits = self._engine.infer(tensor)
        return self._logits

    def close(self) -> None:
        """Nothing: whoever loaded the engine closes it."""


def probability(logits: np.ndarray) -> np.ndarray:
    """Sigmoid, float32, without overflow."""
    return (1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0)))).astype(np.float32)
