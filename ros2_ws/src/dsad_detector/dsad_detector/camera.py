"""The latest calibration of the camera, and what it says of the targets' directions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dsad_core.errors import UsageError
from dsad_core.frame.geometry import bearing
from dsad_core.targets import Target


class Camera:
    """Keeps the newest CameraInfo; the executor's thread updates it, the inference thread asks it."""

    def __init__(self) -> None:
        self._info = None
        self._fault = ""

    @property
    def fault(self) -> str:
        """Why the newest calibration gives no bearings, in one line; empty where it does or there is none."""
        return self._fault

    def update(self, info) -> None:
        """Take a sensor_msgs/CameraInfo. One with ``k[0] == 0`` is uncalibrated and gives no bearings."""
        fault = ""
        usable = info.k[0] != 0.0
        if usable:
            try:
                bearing(0.0, 0.0, info.k, info.d, info.distortion_model)
            except UsageError as error:
                fault, usable = f"camera_info gives no bearings: {error}", False
        self._info = info if usable else None
        self._fault = fault

    def bearings(self, targets: Sequence[Target], height: int, width: int) -> np.ndarray | None:
        """Unit vectors (N, 3) in the optical frame, float64.

        None without targets or without a calibration for frames of this size.
        """
        info = self._info
        if info is None or not targets or (info.height, info.width) != (height, width):
            return None
        return bearing(
            [target.x for target in targets],
            [target.y for target in targets],
            info.k,
            info.d,
            info.distortion_model,
        )
