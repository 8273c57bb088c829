"""How the camera moved from the last frame to this one, from the frames alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from dsad_core.targets import Target

#: The longer side of the frame that motion is measured on, pixels.
REDUCED_SIDE = 320
#: Points followed from frame to frame, and the fewest that must agree on a motion.
POINTS, LEAST_POINTS = 100, 10
#: Share of the followed points that must agree.
LEAST_SHARE = 0.5
#: Points nearer to a target than this are not scene, pixels of the reduced frame.
TARGET_MARGIN = 6
#: A point that lands farther than this from where the motion takes it disagrees, pixels of the reduced frame.
TOLERANCE = 0.7
#: A point that moved less stands still in the picture, pixels of the reduced frame.
STANDS = 0.15
#: Points that move decide where they are this share of all, agree in this share, and spread over the picture by this
#: deviation, as a share of its side.
MOVERS_SHARE, MOVERS_AGREE, MOVERS_EXTENT = 0.2, 0.6, 0.15
#: Texture weaker than this share of the picture's mean texture is not raised to the strength of the rest.
WEAK_TEXTURE = 0.3
_FLOW: dict[str, Any] = {
    "winSize": (15, 15),
    "maxLevel": 2,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.02),
    "minEigThreshold": 1e-3,
}


@dataclass(frozen=True)
class Motion:
    """Where the last frame's scene points lie in this frame: ``p_now = matrix @ (x, y, 1)``.

    Attributes:
        matrix: (2, 3) float64, rotation, scale and translation in pixels of the frame.
        sigma_px: standard deviation of a point carried over, pixels.
        known: False where the motion could not be measured; ``matrix`` is the identity then.
    """

    matrix: np.ndarray
    sigma_px: float
    known: bool = True

    @classmethod
    def unknown(cls, sigma_px: float = 0.0) -> Motion:
        """Identity, marked as not measured."""
        return cls(np.eye(2, 3), sigma_px, known=False)

    @classmethod
    def shift(cls, dx: float, dy: float, sigma_px: float = 0.05) -> Motion:
        """A pure translation of the picture by (dx, dy) pixels."""
        return cls(np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]]), sigma_px)

    def carry(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the last frame in this frame."""
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    @property
    def scale(self) -> float:
        """Growth of lengths from the last frame to this one."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))


class MotionSource(Protocol):
    """Says how the camera moved from frame to frame: from the frames themselves, or from what else knows it.

    Attributes:
        failures: frames whose motion could not be told; the first of a series is no failure.
    """

    failures: int

    def update(self, frame: np.ndarray, targets: Sequence[Target] = (), stamp_ns: int = 0) -> Motion:
        """Motion from the last frame given to this one (H, W); unknown for the first one and on failure."""

    def reset(self) -> None:
        """Forget the last frame: the next one starts a series."""


class MotionEstimator:
    """Follows points of the scene with sparse flow and fits rotation, scale and translation to them.

    Works on a reduced, band-passed frame, so that steps of the level and of the gain do not matter. The fit
    (RANSAC) is deaf to what moves by itself while that is the smaller part of the picture. About 2 ms for
    640x512 on one core.

    Attributes:
        failures: frames whose motion could not be measured (too little texture, or no agreement); the first
            frame of a series is no failure.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._last: np.ndarray | None = None
        self._frame_shape = (0, 0)

    def reset(self) -> None:
        """Forget the last frame: the next one starts a series."""
        self._last = None

    def update(self, frame: np.ndarray, targets: Sequence[Target] = (), stamp_ns: int = 0) -> Motion:
        """Motion from the last frame given to this one.

        Args:
            frame: (H, W) uint8, uint16 or float32 without NaN.
            targets: of the last or of this frame; points on them are not followed.
            stamp_ns: not looked at.

        Returns:
            The motion; unknown, with identity, for the first frame, after a change of size, and on failure.
        """
        factor = max(1.0, max(frame.shape) / REDUCED_SIDE)
        now = _textures(frame, factor)
        last, self._last = self._last, now
        if last is None or frame.shape != self._frame_shape:
            self._frame_shape = frame.shape
            return Motion.unknown()
        fit = None
        start = _corners(last, targets, factor)
        if start is not None:
            fit = _motion(last, now, start)
        if fit is None:
            self.failures += 1
            return Motion.unknown()
        matrix, sigma = fit
        # A reduced pixel (x, y) is the frame's pixel factor * (x + 0.5) - 0.5.
        offset = (factor - 1.0) / 2.0
        centre = np.array([offset, offset])
        matrix[:, 2] = factor * matrix[:, 2] + centre - matrix[:, :2] @ centre
        return Motion(matrix, max(sigma * factor, 0.02))


def _textures(frame: np.ndarray, factor: float) -> np.ndarray:
    """The reduced frame without its coarse shades, (h, w) uint8 around 128."""
    if factor > 1.0:
        height, width = frame.shape
        size = (round(width / factor), round(height / factor))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    grey = frame.astype(np.float32)
    fine: np.ndarray = cv2.GaussianBlur(grey, (0, 0), 1.0)
    fine -= cv2.blur(fine, (25, 25))
    strength = cv2.blur(np.abs(fine), (25, 25))
    spread = float(strength.mean())
    if spread <= 0.0:
        return np.full(grey.shape, 128, np.uint8)
    # Faint clouds count as much as bright trees or a burnt-in logo.
    fine *= 24.0 / (strength + WEAK_TEXTURE * spread)
    fine += 128.0
    return cv2.convertScaleAbs(np.maximum(fine, 0.0, out=fine))


def _corners(textures: np.ndarray, targets: Sequence[Target], factor: float) -> np.ndarray | None:
    """(N, 1, 2) float32 points that can be followed, away from targets; None where there are too few."""
    open_pixels = None
    if targets:
        open_pixels = np.full(textures.shape, 255, np.uint8)
        for target in targets:
            left, top = target.left / factor - TARGET_MARGIN, target.top / factor - TARGET_MARGIN
            right = (target.left + target.width) / factor + TARGET_MARGIN
            bottom = (target.top + target.height) / factor + TARGET_MARGIN
            open_pixels[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1] = 0
    corners = cv2.goodFeaturesToTrack(textures, POINTS, 0.03, 8, mask=open_pixels, blockSize=5)
    return corners if corners is not None and len(corners) >= LEAST_POINTS else None


def _motion(last: np.ndarray, now: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, float] | None:
    """(2, 3) motion in reduced pixels and the deviation of its centre; None without agreement."""
    end, found, _ = cv2.calcOpticalFlowPyrLK(last, now, start, None, **_FLOW)  # type: ignore[call-overload]
    kept = found.ravel() == 1
    start, end = start[kept, 0], end[kept, 0]
    # A logo, a reticle and the sensor's own pattern stay where they are and outvote a scene of little texture.
    # So points that move together, all over the picture, have the first word.
    movers = np.abs(end - start).max(axis=1, initial=0.0) > STANDS
    if np.count_nonzero(movers) >= MOVERS_SHARE * len(movers):
        extent = start[movers].std(axis=0) / now.shape[::-1] if movers.any() else np.zeros(2)
        fit = _fit(start[movers], end[movers], MOVERS_AGREE) if extent.max() > MOVERS_EXTENT else None
        if fit is not None:
            return fit
    return _fit(start, end, LEAST_SHARE)


def _fit(start: np.ndarray, end: np.ndarray, least_share: float) -> tuple[np.ndarray, float] | None:
    if len(start) < LEAST_POINTS:
        return None
    matrix, agree = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=200, confidence=0.99
    )
    if matrix is None:
        return None
    agree = agree.ravel().astype(bool)
    count = int(np.count_nonzero(agree))
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if count < LEAST_POINTS or count < least_share * len(agree) or not 0.8 < scale < 1.25:
        return None
    residual = end[agree] - (start[agree] @ matrix[:, :2].T + matrix[:, 2])
    return matrix, float(np.sqrt(np.square(residual).mean() / count))
