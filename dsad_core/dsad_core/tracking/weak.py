"""Detections below the threshold of the mask, for the tracker's second pass."""

import math

import numpy as np

from dsad_core.components import find_components
from dsad_core.errors import UsageError
from dsad_core.targets import Target, extract_targets


def weak_targets(
    logits: np.ndarray, mask: np.ndarray, threshold: float, low_threshold: float, limit: int = 20
) -> list[Target]:
    """Components above ``low_threshold`` that hold no pixel of the mask, highest score first.

    Args:
        logits: (H, W) float32 of the frame.
        mask: (H, W) uint8, 0 or 255: what the detector answered.
        threshold: the mask's, a probability in (0, 1).
        low_threshold: a probability in (0, ``threshold``].
        limit: the best so many are returned.

    Raises:
        UsageError: the thresholds are not ``0 < low_threshold <= threshold < 1``.
    """
    if not 0.0 < low_threshold <= threshold < 1.0:
        raise UsageError(
            f"low threshold {low_threshold} must lie above 0 and not above the mask's threshold {threshold}"
        )
    low = logits > math.log(low_threshold / (1.0 - low_threshold))
    components = find_components(low)
    found = extract_targets(logits, components)
    # By score alone too: a component that min_area took out of the mask was refused, it is not weak.
    weak = [target for target in found if target.score <= threshold]
    return [t for t in weak if not mask[t.top : t.top + t.height, t.left : t.left + t.width].any()][:limit]
