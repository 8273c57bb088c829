"""Pixels as directions: a camera's calibration, as sensor_msgs/CameraInfo states it.

No direction rather than a wrong one: what a calibration cannot answer is NaN, and one that cannot be used
at all is refused with the reason. Region of interest and binning are undone as image_geometry does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike

from dsad_core.errors import UsageError

#: CameraInfo.distortion_model -> the numbers of coefficients it may have; none means no distortion.
DISTORTION_MODELS = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (0, 4),
}
#: A direction that projects farther than this from its pixel is none.
MAX_REPROJECTION_PX = 0.5
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
#: How far out the distortion is looked at: tangent of the angle to the axis, about 87 degrees.
_WIDEST, _STEPS = 20.0, 20_000


@dataclass(frozen=True)
class CameraModel:
    """Turns pixels of frames of one size into directions.

    Args:
        k: nine numbers of the camera matrix, row by row, of the frame as it is delivered.
        d: distortion coefficients; empty means none.
        model: one of ``DISTORTION_MODELS``; the empty string counts as plumb_bob.

    Raises:
        UsageError: an uncalibrated camera (fx or fy is not above 0), a number that is not finite, an unknown
            model, or a distortion of the wrong number of coefficients.
    """

    k: tuple[float, ...]
    d: tuple[float, ...] = ()
    model: str = "plumb_bob"
    _limit: float = field(init=False, repr=False, compare=False, default=np.inf)

    def __post_init__(self) -> None:
        for name, numbers in (("K", self.k), ("D", self.d)):
            if not np.isfinite(numbers).all():
                raise UsageError(f"{name} holds a number that is not finite: {list(numbers)}")
        if len(self.k) != 9 or not (self.k[0] > 0 and self.k[4] > 0):
            raise UsageError(
                f"fx {self.k[0]} and fy {self.k[4]} must be above 0: bearings need a calibration"
            )
        if not self.model:
            object.__setattr__(self, "model", "plumb_bob")
        if self.model not in DISTORTION_MODELS:
            raise UsageError(f"distortion model {self.model!r} is not one of {', '.join(DISTORTION_MODELS)}")
        if len(self.d) not in DISTORTION_MODELS[self.model]:
            raise UsageError(
                f"{self.model} distortion has {len(self.d)} coefficients, "
                f"not one of {DISTORTION_MODELS[self.model]}"
            )
        object.__setattr__(self, "_limit", self._invertible_radius())

    def bearings(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Directions in the optical frame (x right, y down, z forward).

        Args:
            x, y: (N,) columns and rows; the centre of the top left pixel is 0.

        Returns:
            (N, 3) float64 unit vectors; NaN where the calibration does not say where the pixel looks.
        """
        pixels = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], axis=-1).reshape(-1, 1, 2)
        if not len(pixels):
            return np.empty((0, 3))
        matrix = np.array(self.k, np.float64).reshape(3, 3)
        # OpenCV knows no skew: it is taken out of the column first.
        straight = pixels.copy()
        straight[:, 0, 0] -= matrix[0, 1] * (pixels[:, 0, 1] - matrix[1, 2]) / matrix[1, 1]
        matrix[0, 1] = 0.0
        plane = self._undistort(straight, matrix)
        with np.errstate(all="ignore"):
            error = np.linalg.norm((self._distort(plane, matrix) - straight)[:, 0], axis=-1)
            wrong = ~(error <= MAX_REPROJECTION_PX) | ~(np.linalg.norm(plane[:, 0], axis=-1) < self._limit)
        rays = np.concatenate([plane[:, 0], np.ones((len(plane), 1))], axis=1)
        rays[wrong] = np.nan
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)

    def _undistort(self, pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """(N, 1, 2) points of the plane z = 1."""
        if self.model == "equidistant":
            return cv2.fisheye.undistortPoints(pixels, matrix, self._coefficients())
        # OpenCV 4's plain function stops after 5 steps, pixels off in the corners of a wide lens.
        if hasattr(cv2, "undistortPointsIter"):
            return cv2.undistortPointsIter(pixels, matrix, self._coefficients(), None, None, _CRITERIA)
        return cv2.undistortPoints(pixels, matrix, self._coefficients(), criteria=_CRITERIA)

    def _distort(self, plane: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """The pixels (N, 1, 2) that points of the plane z = 1 are seen at."""
        if self.model == "equidistant":
            return cv2.fisheye.distortPoints(plane, matrix, self._coefficients())
        points = np.concatenate([plane, np.ones((len(plane), 1, 1))], axis=2)
        still = np.zeros(3)
        return cv2.projectPoints(points, still, still, matrix, self._coefficients())[0]

    def _coefficients(self) -> np.ndarray:
        return np.array(self.d if self.d else (0.0,) * 4, np.float64)

    def _invertible_radius(self) -> float:
        """Radius on the plane z = 1 up to which the radial distortion grows, so that it can be undone."""
        if not self.d:
            return np.inf
        radius = np.linspace(0.0, _WIDEST, _STEPS)
        with np.errstate(all="ignore"):
            if self.model == "equidistant":
                theta = np.arctan(radius)
                k1, k2, k3, k4 = self.d
                t2 = theta * theta
                seen = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
            else:
                k1, k2, _, _, k3, k4, k5, k6 = (*self.d, *(0.0,) * 8)[:8]
                r2 = radius * radius
                seen = radius * (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
            falls = np.flatnonzero(~(np.diff(seen) > 0))
        return float(radius[falls[0]]) if falls.size else np.inf


def frame_size(info) -> tuple[int, int]:
    """(height, width) of the frames that a sensor_msgs/CameraInfo belongs to; 0 where it does not say."""
    height, width = info.roi.height or info.height, info.roi.width or info.width
    return height // max(info.binning_y, 1), width // max(info.binning_x, 1)


def camera_model(info, height: int, width: int, rectified: bool = False) -> CameraModel:
    """The model for frames of a size under a sensor_msgs/CameraInfo.

    Args:
        info: K and P are of the full resolution; ``roi`` and ``binning`` say what part of it frames show.
        height, width: of the frames.
        rectified: the frames are (``image_rect``): then P counts, and there is no distortion.

    Raises:
        UsageError: the calibration cannot be used, or is of frames of another size.
    """
    roi, bin_x, bin_y = info.roi, max(info.binning_x, 1), max(info.binning_y, 1)
    expected = frame_size(info)
    if expected != (height, width):
        raise UsageError(
            f"it is of frames of {expected[1]}x{expected[0]} (calibrated at {info.width}x{info.height}, "
            f"roi {roi.width}x{roi.height}, binning {bin_x}x{bin_y}), frames are {width}x{height}"
        )
    numbers = [float(value) for value in (info.p if rectified else info.k)]
    if rectified:
        if not (len(numbers) == 12 and numbers[0] > 0 and numbers[5] > 0):
            raise UsageError("frames are rectified, and it has no projection matrix P")
        # Tx, of a stereo camera's second eye, is an offset of the camera, not of directions.
        matrix = [numbers[0], numbers[1], numbers[2], 0.0, numbers[5], numbers[6], 0.0, 0.0, 1.0]
    else:
        matrix = numbers
    matrix[0], matrix[1] = matrix[0] / bin_x, matrix[1] / bin_x
    matrix[2], matrix[5] = (matrix[2] - roi.x_offset) / bin_x, (matrix[5] - roi.y_offset) / bin_y
    matrix[4] = matrix[4] / bin_y
    if rectified:
        return CameraModel(tuple(matrix))
    return CameraModel(tuple(matrix), tuple(float(value) for value in info.d), info.distortion_model)
