"""From the components of a mask to the list of targets in it."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dsad_core.components import Components
from dsad_core.hysteresis import peaks_of

#: Pixels around a component that still count for its centroid.
RIM = 2
_KERNEL = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)


@dataclass(frozen=True)
class Target:
    """One 8-connected component, in pixels of the frame; the centre of the top left pixel is (0, 0).

    ``x`` and ``y`` are the sub-pixel centroid, the box is ``left``, ``top``, ``width``, ``height``,
    ``area`` counts pixels. ``score`` (0 to 1) is the chance that it is a target where the engine is calibrated,
    else the highest probability in the component. ``peak`` is the highest logit in it.
    """

    x: float
    y: float
    left: int
    top: int
    width: int
    height: int
    area: int
    score: float
    peak: float


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probability of logits, float64, without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))


def extract_targets(
    logits: np.ndarray,
    components: Components,
    max_targets: int | None = None,
    score: Callable[[np.ndarray], np.ndarray] = sigmoid,
) -> list[Target]:
    """One target for each component, highest score first.

    The centroid weighs the pixels of a component and of the ``RIM`` around it by their probability
    above the lowest among them. The rim holds what the threshold cut off: without it the centroid of
    a small blurred spot jumps by half a pixel as the spot drifts over the grid.

    Args:
        logits: (H, W) float32.
        components: of the mask (H, W).
        max_targets: the best by score are kept; None for all.
        score: of a component's highest logit, rising with it.
    """
    if len(components) == 0:
        return []
    peaks = peaks_of(logits, components).astype(np.float64)
    scores = score(peaks)
    left, top, width, height = components.boxes.T
    best = np.lexsort((left, top, -scores))[:max_targets]
    x, y = _centroids(logits, components, best)
    boxes = (left[best], top[best], width[best], height[best], components.areas[best])
    fields = (x, y, *boxes, scores[best], peaks[best])
    return [Target(*values) for values in zip(*(field.tolist() for field in fields))]


def _centroids(
    logits: np.ndarray, components: Components, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted x and y of the chosen components, in their order."""
    owner, columns, rows = _with_rims(logits.shape, components)
    if len(chosen) < len(components):
        wanted = np.zeros(len(components), bool)
        wanted[chosen] = True
        pixels = wanted[owner]
        owner, columns, rows = owner[pixels], columns[pixels], rows[pixels]
    ordered = np.sort(chosen)
    starts = np.searchsorted(owner, ordered)
    probability = sigmoid(logits[rows, columns].astype(np.float64))
    floor = np.minimum.reduceat(probability, starts)
    counts = np.diff(starts, append=len(owner))
    # The small constant is for a frame that is target all over: then the weights are equal.
    weights = probability - np.repeat(floor, counts) + 1e-6
    total = np.add.reduceat(weights, starts)
    place = np.searchsorted(ordered, chosen)
    x = np.add.reduceat(weights * columns, starts) / total
    y = np.add.reduceat(weights * rows, starts) / total
    return x[place], y[place]


def _with_rims(shape: tuple[int, int], components: Components) -> tuple[np.ndarray, ...]:
    """Every pixel of a component or its rim, ordered by component: component, column, row.

    A rim pixel between two components goes to the later one.
    """
    left, top = components.boxes[:, :2].min(axis=0) - RIM
    right, bottom = (components.boxes[:, :2] + components.boxes[:, 2:]).max(axis=0) + RIM
    x0, y0 = max(int(left), 0), max(int(top), 0)
    x1, y1 = min(int(right), shape[1]), min(int(bottom), shape[0])
    # OpenCV dilates no integers of 32 bit; float32 holds every label below 2^24, and bytes take a quarter of the time.
    labels = np.zeros((y1 - y0, x1 - x0), np.uint8 if len(components) < 255 else np.float32)
    labels[components.rows - y0, components.columns - x0] = components.owners + 1
    grown = np.where(labels > 0, labels, cv2.dilate(labels, _KERNEL)).ravel()
    pixels = np.flatnonzero(grown > 0)
    owner = grown[pixels].astype(np.int64) - 1
    order = np.argsort(owner, kind="stable")
    rows, columns = np.divmod(pixels[order], labels.shape[1])
    return owner[order], columns + x0, rows + y0
