"""Masks from boxes: what of a loose box is the target."""

import cv2
import numpy as np

from dsad_training.data.packed import UNCERTAIN

#: Share of a target's largest difference to its background above which a pixel is the target's.
LEVEL = 0.5
#: Width of the ring around a box that shows its background, px.
RING = 4


def mask_from_boxes(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(H,W) uint8: 255 on targets, ``UNCERTAIN`` on the rest of their boxes and one pixel around, 0 elsewhere.

    A target is the connected part around the pixel that differs most from the median of the box's surroundings,
    down to half that difference. A box whose surroundings vary as much as it does stays uncertain as a whole.

    Args:
        image: (H,W) uint8, uint16 or float32.
        boxes: (N,4) left, top, width, height, px.
    """
    height, width = image.shape
    mask = np.zeros((height, width), np.uint8)
    targets = np.zeros((height, width), bool)
    grey = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.7)
    for x, y, w, h in np.asarray(boxes, np.float64):
        left, top = max(0, int(x) - 1), max(0, int(y) - 1)
        right, bottom = min(width, int(np.ceil(x + w)) + 1), min(height, int(np.ceil(y + h)) + 1)
        if left >= right or top >= bottom:
            continue
        mask[top:bottom, left:right] = UNCERTAIN
        outer = np.s_[max(0, top - RING) : bottom + RING, max(0, left - RING) : right + RING]
        ring = np.ones((height, width), bool)[outer]
        ring[
            top - outer[0].start : bottom - outer[0].start, left - outer[1].start : right - outer[1].start
        ] = 0
        around = grey[outer][ring]
        inside = np.abs(grey[top:bottom, left:right] - np.median(around))
        peak = inside.max()
        if peak < 3 * np.median(np.abs(around - np.median(around))) + 1e-6:
            continue
        _, labels = cv2.connectedComponents((inside > LEVEL * peak).astype(np.uint8), connectivity=8)
        targets[top:bottom, left:right] |= labels == labels[np.unravel_index(inside.argmax(), inside.shape)]
    mask[targets] = 255
    return mask
