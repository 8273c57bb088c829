"""Rotations between frames that TF knows, at the moment of a frame."""

from __future__ import annotations

import numpy as np
from rclpy.duration import Duration
from rclpy.time import Time

from dsad_core.errors import UsageError, one_line
from dsad_core.frame.rotation import quaternion_matrix
from dsad_core.tracking.directions import Directions
from dsad_detector.throttled_warnings import ThrottledWarnings

#: Seconds to wait for the transform of the frame's own moment; the tracks wait meanwhile, the mask does not.
PATIENCE_SECONDS = 0.02


class Transforms:
    """Listens to ``/tf`` and ``/tf_static`` until `close`.

    Args:
        node: whose executor takes the messages.
        asked_by: the parameter that wants them, with its value, for messages.
        warnings: gets why a transform is missing.

    Raises:
        UsageError: tf2_ros is not installed.
    """

    def __init__(self, node, asked_by: str, warnings: ThrottledWarnings):
        try:
            # Not above: TF is an option, and ROS 2's wheels have none.
            import tf2_ros
        except ImportError as error:
            raise UsageError(
                f"{asked_by}: needs tf2_ros ({error}); install ros-<distro>-tf2-ros-py, or leave the parameter empty"
            ) from None
        self._errors = (tf2_ros.TransformException, ValueError)
        self._asked_by = asked_by
        self._warnings = warnings
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def rotation(self, target: str, source: str, stamp_ns: int) -> np.ndarray | None:
        """(3, 3) that takes vectors of ``source`` into ``target`` at a time; None, and a problem, where TF has none."""
        try:
            found = self._buffer.lookup_transform(
                target, source, Time(nanoseconds=stamp_ns), Duration(seconds=PATIENCE_SECONDS)
            )
            q = found.transform.rotation
            return quaternion_matrix(q.x, q.y, q.z, q.w)
        except self._errors as error:
            name = source or "a frame without a name"
            self._warnings.report("TF", f"{self._asked_by}: no TF from {name} to {target}: {one_line(error)}")
            return None

    def turned(self, target: str, found: Directions, stamp_ns: int) -> Directions | None:
        """The directions in the frame ``target``; None where TF does not connect the two at that time."""
        rotation = self.rotation(target, found.frame_id, stamp_ns)
        return None if rotation is None else found.turned(rotation, target)

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()
