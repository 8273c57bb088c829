"""Small pieces of frames around what was seen there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsad_core.frame.normalise import to_unit

#: Side of a crop, pixels.
SIDE = 32


@dataclass(frozen=True)
class Crop:
    """A piece of a frame.

    Attributes:
        image: (SIDE, SIDE) uint8, stretched over its own range; 0 beyond the frame.
        frame: number of the frame that it is of.
    """

    image: np.ndarray
    frame: int


def cut(picture: np.ndarray, x: float, y: float, frame: int) -> Crop:
    """The piece of a frame (H, W) around a point, which may lie near or beyond the border."""
    left, top = round(x) - SIDE // 2, round(y) - SIDE // 2
    piece = picture[max(top, 0) : max(top + SIDE, 0), max(left, 0) : max(left + SIDE, 0)]
    image = np.zeros((SIDE, SIDE), np.uint8)
    if piece.size:
        grey = stretched(piece)
        down, right = max(-top, 0), max(-left, 0)
        image[down : down + piece.shape[0], right : right + piece.shape[1]] = grey
    return Crop(image, frame)


def stretched(picture: np.ndarray) -> np.ndarray:
    """A frame (H, W) as 8-bit grey over its own range."""
    grey = (to_unit(picture) * 255).astype(np.float32)
    low, high = float(grey.min()), float(grey.max())
    return ((grey - low) * (255.0 / max(high - low, 1.0))).astype(np.uint8)
