"""Sizes a network accepts, and pixels as directions."""

from collections.abc import Sequence

import numpy as np

from dsad_core.errors import UsageError

#: CameraInfo.distortion_model -> the numbers of coefficients it may have; none means no distortion.
DISTORTION_MODELS = {"plumb_bob": (0, 4, 5), "rational_polynomial": (0, 8), "equidistant": (0, 4)}


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """Smallest (height, width) not below the given one whose sides are multiples of ``multiple``."""
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def bearing(
    x: float | Sequence[float],
    y: float | Sequence[float],
    k: Sequence[float],
    d: Sequence[float],
    distortion_model: str = "plumb_bob",
) -> np.ndarray:
    """Direction of a pixel of the raw image in the optical frame (x right, y down, z forward).

    Args:
        x: column, or (N,) of them; the centre of the top left pixel is 0.
        y: row, likewise.
        k: nine numbers of CameraInfo.k, row by row.
        d: CameraInfo.d; empty means no distortion.
        distortion_model: one of ``DISTORTION_MODELS``; the empty string counts as plumb_bob.

    Returns:
        float64 unit vector (3,), or (N, 3).

    Raises:
        UsageError: an uncalibrated camera (fx or fy is 0), an unknown model, or a distortion that
            has the wrong number of coefficients.
    """
    fx, skew, cx, _, fy, cy = np.asarray(k, np.float64).ravel()[:6]
    if fx == 0 or fy == 0:
        raise UsageError("camera info is uncalibrated (k[0] or k[4] is 0): bearings need a calibration")
    model = distortion_model or "plumb_bob"
    if model not in DISTORTION_MODELS:
        raise UsageError(f"distortion model {model!r} is not one of {', '.join(DISTORTION_MODELS)}")
    coefficients = np.asarray(d, np.float64).ravel()
    if coefficients.size not in DISTORTION_MODELS[model]:
        raise UsageError(
            f"{model} distortion has {coefficients.size} coefficients, not one of {DISTORTION_MODELS[model]}"
        )
    v = (np.asarray(y, np.float64) - cy) / fy
    u = (np.asarray(x, np.float64) - cx - skew * v) / fx
    if model == "equidistant":
        ray = _equidistant_ray(u, v, coefficients if coefficients.size else np.zeros(4))
    else:
        full = np.zeros(8)
        full[: coefficients.size] = coefficients
        u, v = _undistort(u, v, full)
        ray = np.stack([u, v, np.ones_like(u)], axis=-1)
    return ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def _undistort(u: np.ndarray, v: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Invert the Brown-Conrady model on the z = 1 plane by fixed-point steps.

    OpenCV's function stops after 5 of them, whole pixels off in the corners of a wide lens.
    """
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    x, y = u, v
    for _ in range(100):
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        last_x, last_y = x, y
        x, y = (
            (u - 2 * p1 * x * y - p2 * (r2 + 2 * x * x)) / radial,
            (v - p1 * (r2 + 2 * y * y) - 2 * p2 * x * y) / radial,
        )
        if max(np.abs(x - last_x).max(initial=0.0), np.abs(y - last_y).max(initial=0.0)) < 1e-9:
            break
    return x, y


def _equidistant_ray(u: np.ndarray, v: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Kannala-Brandt: the radius on the image is theta (1 + k1 theta^2 + ... + k4 theta^8)."""
    radius = np.hypot(u, v)
    theta = radius
    for _ in range(10):
        t2 = theta * theta
        value = theta * (1 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3]))))
        slope = 1 + t2 * (3 * k[0] + t2 * (5 * k[1] + t2 * (7 * k[2] + t2 * 9 * k[3])))
        theta = theta - (value - radius) / slope
    # The centre pixel has radius 0: there the direction is (u, v, 1) itself, not 0/0.
    side = np.where(radius > 0, np.sin(theta) / np.where(radius > 0, radius, 1.0), 1.0)
    return np.stack([u * side, v * side, np.cos(theta)], axis=-1)
