"""The pixels of targets, by two thresholds: one for whether there is a target, a lower one for how far it reaches.

A threshold that is high enough to be rid of false alarms leaves only the core of a target. So a component of the pixels
above a lower one, the outline, is a target if its highest pixel is above the threshold: hysteresis, as for edges in
Canny, A Computational Approach to Edge Detection, PAMI 8(6), 1986.
"""

import math

import numpy as np

from dsad_core.components import Components, find_components


def find_targets(logits: np.ndarray, threshold: float, outline: float | None = None) -> Components:
    """Components of the pixels above ``outline`` whose highest pixel is above ``threshold``.

    Args:
        logits: (H, W) float32.
        threshold, outline: probabilities in (0, 1). Without an outline, or with one that is not below the threshold,
            the components are those of the pixels above the threshold.
    """
    high = logit(threshold)
    low = high if outline is None else min(logit(outline), high)
    # Probability > t is logit > log(t / (1 - t)): no sigmoid over the whole frame.
    components = find_components(logits > low)
    return components if low == high else components.select(peaks_of(logits, components) > high)


def peaks_of(logits: np.ndarray, components: Components) -> np.ndarray:
    """(N,) the highest logit of each component."""
    if not len(components):
        return np.empty(0, logits.dtype)
    return np.maximum.reduceat(logits[components.rows, components.columns], components.starts)


def logit(probability: float) -> float:
    """Of a probability; finite even where it has rounded to 0 or 1."""
    probability = min(max(probability, 1e-12), 1.0 - 1e-12)
    return math.log(probability / (1.0 - probability))
