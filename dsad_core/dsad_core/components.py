"""The 8-connected components of a mask, labelled once for targets, metrics and figures."""

from dataclasses import dataclass

import cv2
import numpy as np

from dsad_core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Components:
    """8-connected components of a mask (H, W), in the raster order of each one's first pixel.

    Attributes:
        centroids: (N, 2) float64 x, y: the plain mean of the pixel coordinates, centre of the top left
            pixel = (0, 0).
        areas: (N,) int64 pixels.
        boxes: (N, 4) int64 left, top, width, height.
        columns, rows: (P,) int64, every pixel of the components, component after component.
        starts: (N,) int64, where each component begins in ``columns`` and ``rows``.
        size: (H, W) of the mask.
    """

    centroids: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.areas)

    @property
    def owners(self) -> np.ndarray:
        """(P,) int64, the component of each pixel, 0 to N - 1."""
        return np.repeat(np.arange(len(self)), self.areas)

    def select(self, keep: np.ndarray) -> "Components":
        """The components where ``keep`` (N,) bool is true, in the same order."""
        pixels = np.repeat(keep, self.areas)
        areas = self.areas[keep]
        return Components(
            self.centroids[keep],
            areas,
            self.boxes[keep],
            self.columns[pixels],
            self.rows[pixels],
            np.cumsum(areas) - areas,
            self.size,
        )

    def to_mask(self) -> np.ndarray:
        """(H, W) bool, true in the components."""
        mask = np.zeros(self.size, bool)
        mask[self.rows, self.columns] = True
        return mask


def find_components(mask: np.ndarray) -> Components:
    """Components of the non-zero pixels of a mask (H, W), uint8 or bool.

    Raises:
        UsageError: the mask is not two-dimensional or has another dtype.
    """
    mask = as_mask("mask", mask)
    # Targets are few and small: the work is on the box around all of them, and past the labelling on their
    # pixels alone (connectedComponentsWithStats makes several passes over the frame).
    x0, y0, width, height = cv2.boundingRect(mask)
    if width == 0:
        none = np.empty(0, np.int64)
        return Components(np.empty((0, 2)), none, np.empty((0, 4), np.int64), none, none, none, mask.shape)
    box = mask[y0 : y0 + height, x0 : x0 + width]
    count, labels = cv2.connectedComponents(box, connectivity=8)
    pixels = np.flatnonzero(box != 0)  # of a bool it takes a fraction of the time
    labels = labels.ravel()[pixels] - 1
    # OpenCV labels by blocks of 2x2, and in parallel on large frames; raster order is the same everywhere.
    first = np.empty(count - 1, np.int64)
    first[labels[::-1]] = pixels[::-1]
    rank = np.empty(count - 1, np.int64)
    rank[np.argsort(first)] = np.arange(count - 1)
    owners = rank[labels]
    pixels = pixels[np.argsort(owners, kind="stable")]
    areas = np.bincount(owners).astype(np.int64)
    starts = np.cumsum(areas) - areas
    rows, columns = np.divmod(pixels, width)
    rows, columns = rows + y0, columns + x0
    sums = [np.add.reduceat(columns, starts), np.add.reduceat(rows, starts)]
    left, top = np.minimum.reduceat(columns, starts), np.minimum.reduceat(rows, starts)
    right, bottom = np.maximum.reduceat(columns, starts), np.maximum.reduceat(rows, starts)
    boxes = np.stack([left, top, right - left + 1, bottom - top + 1], axis=1)
    return Components(
        np.stack(sums, axis=1) / areas[:, None], areas, boxes, columns, rows, starts, mask.shape
    )


def as_components(name: str, mask: "np.ndarray | Components") -> Components:
    """Components of a mask, or of what was labelled already.

    Raises:
        UsageError: see `as_mask`.
    """
    return mask if isinstance(mask, Components) else find_components(as_mask(name, mask))


def as_mask(name: str, mask: np.ndarray) -> np.ndarray:
    """A mask as contiguous uint8, without a copy where it is one.

    Raises:
        UsageError: not (H, W) uint8 or bool, or without a pixel.
    """
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.size == 0:
        raise UsageError(f"{name} has shape {np.shape(mask)}, expected a mask (H, W)")
    if mask.dtype not in (np.uint8, np.bool_):
        raise UsageError(f"{name} has dtype {mask.dtype}, expected uint8 or bool")
    return np.ascontiguousarray(mask).view(np.uint8)
