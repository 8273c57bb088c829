"""A picture for people: the frame with its detections drawn in."""

import cv2
import numpy as np

from dsad_core.frame.normalise import to_unit
from dsad_core.targets import Target

OUTLINE = (0, 255, 255)  # BGR
BOX = (0, 200, 0)
#: Pixels between a target and its box: a box drawn tight would cover what it points at.
MARGIN = 5


def draw_overlay(
    frame: np.ndarray, mask: np.ndarray, targets: list[Target], value_range: tuple[float, float] | None = None
) -> np.ndarray:
    """Draw the outline of the mask, and a box with the score around each target.

    Nothing is drawn on the mask's own pixels: the target stays visible.

    Args:
        frame: (H, W) uint8, uint16 or float32; 16-bit and float are stretched as for the detector.
        mask: (H, W) uint8, 0 or not.
        targets: of the same frame.
        value_range: the detector's own, if it has one.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    if frame.dtype != np.uint8:
        frame = (to_unit(frame, value_range) * 255.0 + 0.5).astype(np.uint8)
    picture = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
    original = picture.copy()
    for target in targets:
        corner = (target.left - MARGIN, target.top - MARGIN)
        opposite = (target.left + target.width - 1 + MARGIN, target.top + target.height - 1 + MARGIN)
        cv2.rectangle(picture, corner, opposite, BOX)
        _label(picture, f"{target.score:.2f}", corner, opposite)
    picture[(mask == 0) & (cv2.dilate(mask, np.ones((3, 3), np.uint8)) != 0)] = OUTLINE
    picture[mask != 0] = original[mask != 0]
    return picture


def _label(picture: np.ndarray, text: str, corner: tuple[int, int], opposite: tuple[int, int]) -> None:
    """Write above the box, or below it where there is no room."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.35
    (width, height), _ = cv2.getTextSize(text, font, scale, 1)
    x = min(max(corner[0], 0), max(picture.shape[1] - width, 0))
    y = corner[1] - 3 if corner[1] - 3 >= height else opposite[1] + height + 4
    cv2.putText(picture, text, (x, y), font, scale, BOX, 1, cv2.LINE_AA)
