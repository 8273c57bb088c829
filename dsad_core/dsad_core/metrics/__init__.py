"""Pd, Fa, IoU, nIoU and latency: pure counting functions and the accumulators on top of them."""

from dsad_core.metrics.accumulator import DetectionAccumulator, DetectionResult
from dsad_core.metrics.counts import MATCHINGS, FrameCounts, Matching, count_boxes, count_masks

__all__ = [
    "MATCHINGS",
    "DetectionAccumulator",
    "DetectionResult",
    "FrameCounts",
    "Matching",
    "count_boxes",
    "count_masks",
]
