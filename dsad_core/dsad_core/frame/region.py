"""Parts of a frame that are no scene: telemetry rows, burnt-in text, reticles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dsad_core.errors import UsageError


class Region:
    """The part of a frame that is looked at.

    Rows and columns at the borders, and the non-zero pixels of an ignore mask, are replaced before the network by the
    nearest pixel that counts, so that their edges are no target, and taken out of its answer. The frame keeps its size.

    Args:
        top, bottom, left, right: rows and columns to leave out, pixels.
        ignore: (H, W) uint8 or bool, non-zero where pixels are left out; None for nowhere.

    Raises:
        UsageError: a negative border.
    """

    def __init__(
        self, top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, ignore: np.ndarray | None = None
    ):
        for name, value in (("top", top), ("bottom", bottom), ("left", left), ("right", right)):
            if value < 0:
                raise UsageError(f"crop_{name} {value} must be 0 or more pixels")
        self._borders = (top, bottom, left, right)
        self._ignore = None if ignore is None else np.asarray(ignore) != 0
        self._shape: tuple[int, int] | None = None
        self._excluded = np.empty(0, np.intp)
        self._nearest = np.empty(0, np.intp)

    @classmethod
    def load(
        cls, path: str | Path | None, top: int = 0, bottom: int = 0, left: int = 0, right: int = 0
    ) -> Region | None:
        """With the ignore mask of an image file (PNG), or None where nothing is left out.

        Raises:
            UsageError: the file is no image, or a border is negative.
        """
        ignore = None
        if path:
            ignore = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if ignore is None:
                raise UsageError(
                    f"ignore_mask {path}: not an image; give a PNG of the frame's size, or nothing"
                )
        if ignore is None and not any((top, bottom, left, right)):
            return None
        return cls(top, bottom, left, right, ignore)

    def before(self, frame: np.ndarray) -> np.ndarray:
        """A copy of a frame (H, W) without what is left out.

        Raises:
            UsageError: the mask has another size, or nothing of the frame is left.
        """
        if frame.shape != self._shape:
            self._prepare(frame.shape)
        filled = frame.copy()
        filled.ravel()[self._excluded] = frame.ravel()[self._nearest]
        return filled

    def after(self, logits: np.ndarray) -> np.ndarray:
        """Logits (H, W) of the last frame with a probability of 0 where pixels are left out; changes none of them."""
        kept = logits.copy()
        kept.ravel()[self._excluded] = -100.0
        return kept

    def _prepare(self, shape: tuple[int, int]) -> None:
        height, width = shape
        top, bottom, left, right = self._borders
        if self._ignore is not None and self._ignore.shape != shape:
            found = f"{self._ignore.shape[1]}x{self._ignore.shape[0]}"
            raise UsageError(f"ignore_mask is {found}, the frame is {width}x{height}: they must agree")
        excluded = np.zeros(shape, np.uint8) if self._ignore is None else self._ignore.astype(np.uint8)
        excluded[:top], excluded[:, :left] = 1, 1
        excluded[max(height - bottom, 0) :], excluded[:, max(width - right, 0) :] = 1, 1
        if excluded.all():
            raise UsageError(f"crop and ignore_mask leave nothing of a frame of {width}x{height}")
        _, labels = cv2.distanceTransformWithLabels(excluded, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        counted = np.flatnonzero(excluded.ravel() == 0)
        pixel_of = np.zeros(labels.max() + 1, np.intp)
        pixel_of[labels.ravel()[counted]] = counted
        self._excluded = np.flatnonzero(excluded)
        self._nearest = pixel_of[labels.ravel()[self._excluded]]
        self._shape = shape
