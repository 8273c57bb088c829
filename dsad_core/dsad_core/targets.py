"""From a mask to the list of targets in it."""

from dataclasses import dataclass

import cv2
import numpy as np

#: Pixels around a component that still count for its centroid.
RIM = 2
_OFFSETS = np.stack(np.mgrid[-RIM:RIM + 1, -RIM:RIM + 1], axis=-1).reshape(-1, 2)
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
    window = np.s_[y0:top + height + RIM, x0:left + width + RIM]
    # OpenCV's own component statistics walk every background pixel and cost ten times the labels.
    count, labels = cv2.connectedComponents(mask[window], connectivity=8)
    owner, columns, rows, inside = _with_rims(mask[window], labels)
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


def _with_rims(mask: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Every pixel of a component or its rim, ordered by component: label, column, row, not of the rim.

    A rim pixel between two components goes to the one with the higher label.
    """
    points = cv2.findNonZero(cv2.dilate(mask, _KERNEL)).reshape(-1, 2)
    owner = labels[points[:, 1], points[:, 0]]
    inside = owner > 0
    around = points[~inside, ::-1] + _OFFSETS[:, None]
    # At the frame's edge the clipped neighbour is nearer still, so it is a neighbour too.
    np.clip(around, 0, np.subtract(labels.shape, 1), out=around)
    owner[~inside] = labels[around[..., 0], around[..., 1]].max(axis=0)
    order = np.argsort(owner, kind="stable")
    return owner[order], points[order, 0], points[order, 1], inside[order]


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))
