"""From logits to probabilities."""

import numpy as np


def probability(logits: np.ndarray) -> np.ndarray:
    """Sigmoid, float32, without overflow."""
    return (1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0)))).astype(np.float32)
