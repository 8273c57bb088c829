"""The calibrations of the camera, and what they say of the targets' directions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from dsad_core.errors import UsageError
from dsad_core.frame.camera_model import CameraModel, camera_model
from dsad_core.targets import Target
from dsad_core.tracking import Track
from dsad_core.tracking.directions import Directions, directions

#: Calibrations kept, each for the frame of its own stamp.
KEPT = 30


class CameraInfoBuffer:
    """Keeps the newest CameraInfos; the executor's thread updates it, inference and tracking thread ask it.

    A frame gets the calibration of its own stamp, and the newest one where none has that stamp.

    Args:
        rectified: frames are rectified: see ``camera_model``.
    """

    def __init__(self, rectified: bool = False) -> None:
        self._rectified = rectified
        self._infos: OrderedDict[tuple[int, int], object] = OrderedDict()
        self._newest = None
        self._built: tuple[tuple, CameraModel | str] | None = None
        self._fault = ""

    @property
    def frame_id(self) -> str:
        """Of the newest CameraInfo; empty without one."""
        return "" if self._newest is None else self._newest.header.frame_id

    @property
    def fault(self) -> str:
        """Why targets have no bearings, in one line; empty where they have, or no calibration has come."""
        return self._fault

    def update(self, info) -> None:
        """Take a sensor_msgs/CameraInfo. One with ``k[0] == 0`` is uncalibrated and gives no bearings."""
        if info.k[0] == 0.0:
            self._newest, self._fault = None, ""
            self._infos.clear()
            return
        infos = self._infos.copy()
        infos[(info.header.stamp.sec, info.header.stamp.nanosec)] = info
        while len(infos) > KEPT:
            infos.popitem(last=False)
        # Replaced as a whole: the inference thread may be looking.
        self._infos, self._newest = infos, info

    def bearings(self, targets: Sequence[Target], height: int, width: int, stamp=None) -> np.ndarray | None:
        """Unit vectors (N, 3) in the optical frame, float64; NaN where the calibration gives none.

        None without a calibration for frames of this size, or without targets.

        Args:
            stamp: of the frame.
        """
        model = self._model_of(stamp, height, width)
        if model is None:
            return None
        if not targets:
            self._fault = ""
            return None
        found = model.bearings([target.x for target in targets], [target.y for target in targets])
        missing = int(np.isnan(found).any(axis=1).sum())
        self._fault = (
            f"{missing} of {len(targets)} targets have no bearing: they lie outside of what the calibration covers"
            if missing
            else ""
        )
        return found

    def directions(self, tracks: Sequence[Track], height: int, width: int, header) -> Directions | None:
        """Directions of tracks in the optical frame; None without a calibration for frames of this size."""
        model = self._model_of(header.stamp, height, width)
        return None if model is None else directions(model, tracks, header.frame_id)

    def matrix(self, height: int, width: int) -> np.ndarray | None:
        """Camera matrix (3, 3) of frames of this size; None without a calibration for them."""
        model = self._model_of(None, height, width)
        return None if model is None else np.array(model.k, np.float64).reshape(3, 3)

    def _model_of(self, stamp, height: int, width: int) -> CameraModel | None:
        info = self._newest if stamp is None else self._infos.get((stamp.sec, stamp.nanosec), self._newest)
        if info is None:
            return None
        model = self._model(info, height, width)
        if isinstance(model, str):
            self._fault = f"camera_info gives no bearings: {model}"
            return None
        return model

    def _model(self, info, height: int, width: int) -> CameraModel | str:
        """The model, or why there is none; made anew only where the calibration changed."""
        roi = info.roi
        key = (
            height,
            width,
            info.height,
            info.width,
            bytes(np.asarray(info.k, np.float64)),
            bytes(np.asarray(info.d, np.float64)),
            bytes(np.asarray(info.p, np.float64)),
            info.distortion_model,
            (info.binning_x, info.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height),
        )
        if self._built is None or self._built[0] != key:
            try:
                self._built = key, camera_model(info, height, width, self._rectified)
            except UsageError as error:
                self._built = key, str(error)
        return self._built[1]
