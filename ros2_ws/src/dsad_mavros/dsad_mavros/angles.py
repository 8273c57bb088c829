"""A track's bearing as the two angles of MAVLink's LANDING_TARGET."""

from __future__ import annotations

import math


def optical_angles(x: float, y: float, z: float) -> tuple[float, float] | None:
    """Angles to the right and downwards from the axis of an optical frame (x right, y down, z forward), radians.

    None for a direction beside or behind the camera.
    """
    return (math.atan2(x, z), math.atan2(y, z)) if z > 0.0 else None


def body_angles(x: float, y: float, z: float) -> tuple[float, float] | None:
    """The same of a direction in a body frame (x forward, y left, z up), from straight down, the nose up in the picture.

    None for a direction at or above the horizon.
    """
    return optical_angles(-y, -x, -z)
