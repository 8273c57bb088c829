"""Pd, Fa, IoU and nIoU at many thresholds from one inference a frame."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dsad_core.components import Components, as_components
from dsad_core.errors import UsageError
from dsad_core.hysteresis import find_targets
from dsad_core.metrics import DetectionAccumulator, DetectionResult, FrameCounts, Matching

TAILS = ((3.0, 5.0, 0.1), (5.0, 12.5, 0.5))
"""Logits beyond the even steps of probability: first, end, step. Trained networks answer near 0 and 1."""


def default_thresholds() -> list[float]:
    """0.05, 0.10 ... 0.95, and on both sides of them even steps of the logit up to 12 (p = 6e-6)."""
    logits = np.concatenate([np.arange(*tail) for tail in TAILS])
    low = [1 / (1 + math.exp(logit)) for logit in logits[::-1]]
    middle = [round(percent / 100, 2) for percent in range(5, 100, 5)]
    return [*low, *middle, *(1 - threshold for threshold in reversed(low))]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """Metrics of a set of frames at one threshold."""

    threshold: float
    result: DetectionResult

    def to_dict(self) -> dict:
        return {"threshold": self.threshold, **self.result.to_dict()}


class ThresholdSweep:
    """Counts the same frames at several thresholds. Holds counters only, no frame.

    Args:
        thresholds: probabilities in (0, 1), in any order; repeated ones are counted once.
        matching: ``nearest`` or ``dnanet``.
        outline: of the engine's manifest, see `hysteresis.find_targets`.

    Raises:
        UsageError: a threshold or the matching is out of range.
    """

    def __init__(
        self, thresholds: Iterable[float], matching: Matching = "nearest", outline: float | None = None
    ):
        self.thresholds = sorted(set(thresholds))
        for threshold in self.thresholds:
            if not 0.0 < threshold < 1.0:
                raise UsageError(f"threshold {threshold} must lie between 0 and 1, both excluded")
        if matching == "box":
            raise UsageError("matching 'box' has no IoU to sweep; choose nearest or dnanet")
        self._outline = outline
        self._accumulators = [DetectionAccumulator(matching) for _ in self.thresholds]

    def update(self, logits: np.ndarray, truth: np.ndarray | Components) -> dict[float, FrameCounts]:
        """Count one frame.

        Args:
            logits: (H, W) float32.
            truth: (H, W) uint8 or bool mask, or its components.

        Returns:
            The frame's counts by threshold.
        """
        truth = as_components("truth", truth)
        counts: FrameCounts | None = None
        area = -1
        found: dict[float, FrameCounts] = {}
        for threshold, accumulator in zip(self.thresholds, self._accumulators):
            components = find_targets(logits, threshold, self._outline)
            # The masks are nested: one of equal area is the same mask, and trained networks give many.
            if (new_area := int(components.areas.sum())) != area or counts is None:
                counts, area = accumulator.count(components, truth), new_area
            accumulator.add(counts)
            found[threshold] = counts
        return found

    def points(self) -> list[SweepPoint]:
        """Metrics so far, lowest threshold first."""
        return [
            SweepPoint(threshold, accumulator.result())
            for threshold, accumulator in zip(self.thresholds, self._accumulators)
        ]
