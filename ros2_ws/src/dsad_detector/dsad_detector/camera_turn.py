"""Where the tracker learns how the camera turns, if not from the frames: a gyroscope's topic, or TF."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Imu

from dsad_common.qos import best_effort
from dsad_common.stamps import stamp_ns
from dsad_core.frame.rotation import quaternion_matrix
from dsad_core.tracking.attitude import AttitudeMotion, Gyroscope
from dsad_detector.camera_info_buffer import CameraInfoBuffer
from dsad_detector.throttled_warnings import ThrottledWarnings
from dsad_detector.transforms import Transforms

#: Messages of a gyroscope that may wait while the executor is busy.
DEPTH = 200


class ImuInput:
    """Subscribes to a sensor_msgs/Imu and integrates its angular velocity.

    Args:
        node: that subscribes.
        topic: of the Imu.
        mounting: quaternion x, y, z, w that takes vectors of the Imu's frame into the camera's optical frame.
        camera: knows the camera matrix.
        warnings: gets what is wrong with the messages.

    Attributes:
        motion: for the tracker.
    """

    def __init__(self, node, topic: str, mounting, camera: CameraInfoBuffer, warnings: ThrottledWarnings):
        self._node = node
        self._warnings = warnings
        self._topic = node.resolve_topic_name(topic)
        self._gyroscope = Gyroscope(quaternion_matrix(*mounting))
        self.motion = AttitudeMotion(self._between, camera.matrix)
        # Best effort, as drivers of sensors are.
        self._subscription = node.create_subscription(Imu, topic, self._take, best_effort(DEPTH))

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _take(self, message: Imu) -> None:
        rate = message.angular_velocity
        values = (rate.x, rate.y, rate.z)
        if message.angular_velocity_covariance[0] == -1.0 or not np.isfinite(values).all():
            self._warnings.report("motion_topic", f"{self._topic}: a message without an angular velocity")
            return
        self._gyroscope.add(stamp_ns(message.header.stamp), values)

    def _between(self, last_ns: int, now_ns: int) -> np.ndarray | None:
        turn = self._gyroscope.between(last_ns, now_ns)
        if turn is None:
            self._warnings.report(
                "motion_topic",
                f"motion_topic {self._topic} does not cover the time between two frames: is it published, with "
                "stamps of the frames' clock?",
            )
        return turn


def tf_motion(transforms: Transforms, fixed: str, camera: CameraInfoBuffer) -> AttitudeMotion:
    """The motion of a camera whose attitude in the frame ``fixed`` TF knows."""

    def between(last_ns: int, now_ns: int) -> np.ndarray | None:
        last = transforms.rotation(fixed, camera.frame_id, last_ns)
        now = transforms.rotation(fixed, camera.frame_id, now_ns)
        return None if last is None or now is None else now.T @ last

    return AttitudeMotion(between, camera.matrix)
