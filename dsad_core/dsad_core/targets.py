"""From a mask to the list of targets in it."""

from dataclasses import dataclass

import cv2
import numpy as np

#: Pixels around a component that still count for its centroid.
RIM = 2
_KERNEL = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)


@dataclass(frozen=True)
class Target:
    """One 8-connected component, in pixels of the frame; the centre of the top left pixel is (0, 0).

    ``x`` and ``y`` are the sub-pixel centroid, the box is ``left``, ``top``, ``width``, ``height``,
    ``area`` counts pixels, ``score`` is the highest probability in the component.
    """

    x: float
    y: float
    left: int
    top: int
    width: int
    height: int
    area: int
    score: float


def extract_targets(logits: np.ndarray, mask: np.ndarray) -> list[Target]:
    """The 8-connected components of ``mask``, highest score first.

    The centroid weighs the pixels of a component and of the ``RIM`` around it by their probability
    above the lowest among them. The rim holds what the threshold cut off: without it the centroid of
    a small blurred spot jumps by half a pixel as the spot drifts over the grid.

    Args:
        logits: (H, W) float32.
        mask: (H, W) uint8, 0 or not.
    """
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return []
    # Work on the box of all components and their rims: most frames are mostly empty.
    x0, y0 = max(left - RIM, 0), max(top - RIM, 0)
    window = np.s_[y0 : top + height + RIM, x0 : left + width + RIM]
    # OpenCV's own component statistics walk every background pixel and cost ten times the labels.
    count, labels = cv2.connectedComponents(mask[window], connectivity=8)
    owner, columns, rows, inside = _with_rims(labels)
    starts = np.searchsorted(owner, np.arange(1, count))

    probability = _sigmoid(logits[window][rows, columns].astype(np.float64))
    floor = np.minimum.reduceat(probability, starts)
    # The small constant is for a frame that is target all over: then the weights are equal.
    weights = probability - floor[owner - 1] + 1e-6
    total = np.add.reduceat(weights, starts)
    x = np.add.reduceat(weights * columns, starts) / total + x0
    y = np.add.reduceat(weights * rows, starts) / total + y0

    owner, columns, rows = owner[inside], columns[inside], rows[inside]
    starts = np.searchsorted(owner, np.arange(1, count))
    left, top = np.minimum.reduceat(columns, starts), np.minimum.reduceat(rows, starts)
    width = np.maximum.reduceat(columns, starts) - left + 1
    height = np.maximum.reduceat(rows, starts) - top + 1
    area = np.bincount(owner)[1:]
    score = np.maximum.reduceat(probability[inside], starts)

    fields = (x, y, left + x0, top + y0, width, height, area, score)
    found = [Target(*values) for values in zip(*(field.tolist() for field in fields))]
    found.sort(key=lambda target: (-target.score, target.top, target.left))
    return found


def _with_rims(labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Every pixel of a component or its rim, ordered by component: label, column, row, not of the rim.

    A rim pixel between two components goes to the one with the higher label.
    """
    # OpenCV dilates no int32; float32 holds every label below 2^24.
    grown = cv2.dilate(labels.astype(np.float32), _KERNEL)
    pixels = np.flatnonzero(grown != 0)
    owner = labels.ravel()[pixels]
    inside = owner > 0
    owner = np.where(inside, owner, grown.ravel()[pixels].astype(np.int32))
    order = np.argsort(owner, kind="stable")
    rows, columns = np.divmod(pixels[order], labels.shape[1])
    return owner[order], columns, rows, inside[order]


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))
