"""What one frame adds to Pd, Fa and IoU: pure functions from two masks (or a mask and boxes) to integers.

The definitions are those of DNANet and BasicIRSTD: components are 8-connected, a prediction hits a target
when their centroids are strictly less than 3 px apart, and one prediction answers for one target only.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from dsad_core.components import Components, as_components
from dsad_core.errors import UsageError

Matching = Literal["nearest", "dnanet", "box"]
MATCHINGS: tuple[str, ...] = get_args(Matching)

MATCH_DISTANCE = 3.0
"""Centroids this far apart, or farther, do not match (pixels)."""


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """Integers behind the metrics of one frame.

    ``intersection`` and ``union`` are pixel counts; where truth is boxes ``has_masks`` is False and both
    are 0.
    """

    targets: int
    hits: int
    predictions: int
    false_targets: int
    false_pixels: int
    intersection: int
    union: int
    pixels: int
    has_masks: bool = True

    @property
    def missed_targets(self) -> int:
        return self.targets - self.hits

    @property
    def iou(self) -> float | None:
        """IoU of this frame alone; None with boxes, and where neither prediction nor truth has a pixel."""
        return self.intersection / self.union if self.union else None


def match_components(truth: Components, predicted: Components, matching: Matching) -> list[tuple[int, int]]:
    """Pairs (truth index, prediction index) by ``nearest`` or ``dnanet``."""
    match = match_raster if matching == "dnanet" else match_nearest
    return match(truth.centroids, predicted.centroids)


def match_nearest(truth: np.ndarray, predicted: np.ndarray) -> list[tuple[int, int]]:
    """One-to-one pairs (truth index, prediction index), the nearest pair of all first.

    Both are centroids (N, 2). Only pairs strictly nearer than 3 px count. Equal distances go to the lower
    truth index, then to the lower prediction index.
    """
    squared = _squared_distances(truth, predicted)
    near_truth, near_predicted = np.nonzero(squared < MATCH_DISTANCE**2)
    return _one_to_one(near_truth, near_predicted, squared[near_truth, near_predicted])


def match_raster(truth: np.ndarray, predicted: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (truth index, prediction index) as the published DNANet scripts form them.

    Targets are taken in raster order of their first pixel; each takes the first prediction, in the same
    order, that no target has taken yet and whose centroid is strictly nearer than 3 px, be it the nearest
    or not.
    """
    near = _squared_distances(truth, predicted) < MATCH_DISTANCE**2
    pairs = []
    for target in range(len(truth)):
        candidates = np.flatnonzero(near[target])
        if candidates.size:
            pairs.append((target, int(candidates[0])))
            near[:, candidates[0]] = False
    return pairs


def match_boxes(boxes: np.ndarray, predicted: np.ndarray) -> list[tuple[int, int]]:
    """One-to-one pairs (box index, prediction index), the nearest to its box's centre first.

    A centroid lies in a box (N, 4) x, y, w, h when it lies on the area of the box's pixels:
    x - 0.5 <= centroid x < x + w - 0.5, and the same for y. Equal distances go to the lower box index, then
    to the lower prediction index.
    """
    inside_box, inside_predicted = np.nonzero(points_in_boxes(boxes, predicted))
    squared = _squared_distances(boxes[:, :2] + (boxes[:, 2:] - 1) / 2, predicted)
    return _one_to_one(inside_box, inside_predicted, squared[inside_box, inside_predicted])


def points_in_boxes(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, M) bool: which of the points (M, 2) lies on the area of the pixels of which box (N, 4) x, y, w, h."""
    corner, size = boxes[:, None, :2].astype(np.float64), boxes[:, None, 2:].astype(np.float64)
    offset = points[None, :, :] - corner + 0.5
    return np.all((offset >= 0) & (offset < size), axis=2)


def count_masks(
    predicted: np.ndarray | Components, truth: np.ndarray | Components, matching: Matching = "nearest"
) -> FrameCounts:
    """Counts of one frame against a truth mask.

    Args:
        predicted: (H, W) uint8 or bool, non-zero where a target is predicted, or its components.
        truth: the same for the labelled targets, of the same size.
        matching: ``nearest`` (see `match_nearest`) or ``dnanet`` (see `match_raster`). The published
            scripts also drop from Fa every false alarm whose area equals a matched one's; here it counts.

    Raises:
        UsageError: shapes differ, a dtype is not a mask's, or the matching is unknown or needs boxes.
    """
    if matching not in ("nearest", "dnanet"):
        raise UsageError(f"matching {matching!r} does not score masks; choose nearest or dnanet")
    predictions, targets = as_components("predicted", predicted), as_components("truth", truth)
    if predictions.size != targets.size:
        raise UsageError(
            f"truth mask is {_size(targets)}, the predicted mask is {_size(predictions)}: they must agree"
        )
    pairs = match_components(targets, predictions, matching)
    intersection = int(np.count_nonzero(predictions.to_mask()[targets.rows, targets.columns]))
    union = int(targets.areas.sum() + predictions.areas.sum()) - intersection
    return _count(len(targets), predictions, pairs, intersection, union, has_masks=True)


def count_boxes(predicted: np.ndarray | Components, boxes: np.ndarray) -> FrameCounts:
    """Counts of one frame against labelled boxes (N, 4) x, y, w, h in pixels, matched by `match_boxes`.

    N = 0 says that the frame holds no target, so every prediction is a false alarm.

    Raises:
        UsageError: the boxes have another shape, a value that is not finite, or a side that is not positive.
    """
    predictions = as_components("predicted", predicted)
    boxes = np.asarray(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UsageError(f"boxes have shape {boxes.shape}, expected (N, 4): x, y, w, h")
    bad = ~np.isfinite(boxes).all(axis=1) | ~(boxes[:, 2:] > 0).all(axis=1)
    if bad.any():
        raise UsageError(
            f"box {boxes[bad][0].tolist()} is not x, y, w, h with finite values and sides above 0"
        )
    pairs = match_boxes(boxes, predictions.centroids)
    return _count(len(boxes), predictions, pairs, 0, 0, has_masks=False)


def _count(targets, predictions, pairs, intersection, union, has_masks) -> FrameCounts:
    matched = [prediction for _, prediction in pairs]
    return FrameCounts(
        targets=targets,
        hits=len(pairs),
        predictions=len(predictions),
        false_targets=len(predictions) - len(pairs),
        false_pixels=int(predictions.areas.sum() - predictions.areas[matched].sum()),
        intersection=intersection,
        union=union,
        pixels=math.prod(predictions.size),
        has_masks=has_masks,
    )


def _squared_distances(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    difference = truth[:, None, :] - predicted[None, :, :]
    # Centroids are fractions: rounding keeps a distance of exactly 3 px at 3 px wherever in the frame it is.
    return np.round((difference**2).sum(axis=2), 9)


def _one_to_one(truth: np.ndarray, predicted: np.ndarray, squared: np.ndarray) -> list[tuple[int, int]]:
    pairs, used_truth, used_predicted = [], set(), set()
    for k in np.lexsort((predicted, truth, squared)):
        t, p = int(truth[k]), int(predicted[k])
        if t not in used_truth and p not in used_predicted:
            used_truth.add(t)
            used_predicted.add(p)
            pairs.append((t, p))
    return pairs


def _size(components: Components) -> str:
    height, width = components.size
    return f"{width}x{height}"
