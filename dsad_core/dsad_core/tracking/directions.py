"""Where tracks are, as directions: with covariance and angular size, in the camera's frame or another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsad_core.frame.camera_model import CameraModel
from dsad_core.tracking.track import Track

#: Shortest distance over which the change of the direction is measured, pixels.
LEAST_STEP_PX = 1.0


@dataclass(frozen=True)
class Directions:
    """Directions of N tracks; NaN in a row where the calibration does not say where the track is.

    Attributes:
        bearing: (N, 3) unit vectors.
        covariance: (N, 3, 3) of the bearing's components, radians^2; it lies across the bearing.
        size: (N, 2) width and height of the box as the camera sees it, radians.
        frame_id: of the vectors.
    """

    bearing: np.ndarray
    covariance: np.ndarray
    size: np.ndarray
    frame_id: str

    @property
    def known(self) -> np.ndarray:
        """(N,) bool."""
        return np.isfinite(self.bearing).all(axis=1) & np.isfinite(self.covariance).all(axis=(1, 2))

    def turned(self, rotation: np.ndarray, frame_id: str) -> Directions:
        """The same directions in another frame; ``rotation`` (3, 3) takes vectors of this one into it."""
        return replace(
            self,
            bearing=self.bearing @ rotation.T,
            covariance=rotation @ self.covariance @ rotation.T,
            frame_id=frame_id,
        )


def directions(model: CameraModel, tracks: Sequence[Track], frame_id: str) -> Directions:
    """Directions of tracks in the camera's optical frame (x right, y down, z forward).

    The covariance is the position's, carried over by the change of the direction across the box.
    """
    count = len(tracks)
    centre = np.array([(track.x, track.y) for track in tracks], np.float64).reshape(-1, 2)
    extent = np.array([(track.width, track.height) for track in tracks], np.float64).reshape(-1, 2)
    half = np.maximum(extent, LEAST_STEP_PX) / 2
    across, down = half * (1.0, 0.0), half * (0.0, 1.0)
    points = np.concatenate([centre, centre - across, centre + across, centre - down, centre + down])
    rays = model.bearings(points[:, 0], points[:, 1]).reshape(5, count, 3)
    bearing, left, right, top, bottom = rays
    slope = np.stack([right - left, bottom - top], axis=2) / (2 * half)[:, None, :]
    spread = np.array([track.covariance[:2, :2] for track in tracks], np.float64).reshape(-1, 2, 2)
    size = np.stack([_angle(left, right), _angle(top, bottom)], axis=1)
    return Directions(bearing, slope @ spread @ slope.transpose(0, 2, 1), size, frame_id)


def _angle(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angles (N,) between unit vectors; exact for small ones too."""
    return 2 * np.arcsin(np.minimum(np.linalg.norm(one - other, axis=1) / 2, 1.0))
