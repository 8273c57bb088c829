"""Rotations between frames."""

import numpy as np


def quaternion_matrix(x: float, y: float, z: float, w: float) -> np.ndarray:
    """(3, 3) rotation of a quaternion, which need not have length 1.

    Raises:
        ValueError: all four are 0, or one is not finite.
    """
    length = float(np.linalg.norm((x, y, z, w)))
    if not 0.0 < length < np.inf:
        raise ValueError(f"quaternion ({x}, {y}, {z}, {w}) is no rotation")
    x, y, z, w = x / length, y / length, z / length, w / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
