"""Detections below the threshold of the mask, for the tracker's second pass."""

from collections.abc import Callable

import numpy as np

from dsad_core.components import find_components
from dsad_core.errors import UsageError
from dsad_core.hysteresis import logit, peaks_of
from dsad_core.targets import Target, extract_targets, sigmoid


def weak_targets(
    logits: np.ndarray,
    mask: np.ndarray,
    threshold: float,
    low_threshold: float,
    limit: int = 20,
    score: Callable = sigmoid,
) -> list[Target]:
    """Components above ``low_threshold`` that hold no pixel of the mask, highest score first.

    Args:
        logits: (H, W) float32 of the frame.
        mask: (H, W) uint8, 0 or 255: what the detector answered.
        threshold: the mask's, a probability in (0, 1).
        low_threshold: a probability in (0, ``threshold``].
        limit: the best so many are returned.
        score: see `extract_targets`.

    Raises:
        UsageError: the thresholds are not ``0 < low_threshold <= threshold < 1``.
    """
    if not 0.0 < low_threshold <= threshold < 1.0:
        raise UsageError(
            f"low threshold {low_threshold} must lie above 0 and not above the mask's threshold {threshold}"
        )
    components = find_components(logits > logit(low_threshold))
    if not len(components):
        return []
    # What holds a pixel of the mask is no weak target; nor is one that min_area took out of the mask: it was refused.
    highest = peaks_of(logits, components)
    taken = np.maximum.reduceat(mask[components.rows, components.columns], components.starts)
    weak = (highest <= logit(threshold)) & (taken == 0)
    if np.count_nonzero(weak) > limit:
        weak &= highest >= np.partition(highest[weak], -limit)[-limit]
    return extract_targets(logits, components.select(weak), max_targets=limit, score=score)
