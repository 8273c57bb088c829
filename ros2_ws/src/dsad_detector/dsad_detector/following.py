"""What the node does beside detecting: tracks, the frame monitor, and the topics that both need."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from geometry_msgs.msg import Vector3Stamped
from std_msgs.msg import Header

from dsad_common import topics
from dsad_common.events import QosWatch
from dsad_common.qos import latched, reliable
from dsad_core.tracking import MotionSource
from dsad_detector.camera_info_buffer import CameraInfoBuffer
from dsad_detector.camera_turn import ImuInput, tf_motion
from dsad_detector.shutter_flag import ShutterFlag
from dsad_detector.throttled_warnings import ThrottledWarnings
from dsad_detector.track_messages import Detection2DArray, LabelInfo, label_info
from dsad_detector.track_settings import TrackSettings
from dsad_detector.tracking import TrackingThread, TrackOutputs
from dsad_detector.transforms import Transforms
from dsad_detector.watch import FrameWatch
from dsad_msgs.msg import TrackArray


class Following:
    """Publishers for as long as the node lives; thread and inputs from `begin` to `end`.

    Args:
        node: the detector's.
        watch: makes the publishers.
        warnings: gets what goes wrong.
        targets: the publisher of the targets, which go out with their tracks' ids.

    Attributes:
        frames: the frame monitor.
        thread: the tracker's; None without tracking.
        tracks: their publisher.
    """

    def __init__(self, node, watch: QosWatch, warnings: ThrottledWarnings, targets):
        self.frames = FrameWatch(None)
        self.thread: TrackingThread | None = None
        self._node, self._warnings = node, warnings
        self._closers: list[Callable[[], None]] = []
        self.tracks = watch.publisher(TrackArray, topics.TRACKS, reliable(50))
        self._outputs = TrackOutputs(
            targets=targets,
            tracks=self.tracks,
            bearing=watch.publisher(Vector3Stamped, topics.BEARING, reliable(10)),
            detections=watch.publisher(Detection2DArray, topics.DETECTIONS, reliable(50))
            if Detection2DArray
            else None,
        )
        self._labels = watch.publisher(LabelInfo, topics.LABEL_INFO, latched()) if LabelInfo else None

    def begin(self, settings: TrackSettings, camera: CameraInfoBuffer) -> None:
        """Start what the settings ask for.

        Raises:
            UsageError: a parameter needs TF, and tf2_ros is not installed.
        """
        self.frames = FrameWatch(settings.frame_monitor(), empties=settings.monitor == "refuse")
        try:
            self._begin(settings, camera)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Finish the frame in hand and stop listening; nothing is put any more."""
        thread, self.thread = self.thread, None
        if thread is not None:
            thread.stop()
        while self._closers:
            self._closers.pop()()

    def tell_labels(self, threshold: float) -> None:
        """Say, latched, what the mask's values mean, where vision_msgs is installed."""
        if self._labels is not None:
            stamp = self._node.get_clock().now().to_msg()
            self._labels.publish(label_info(Header(stamp=stamp), threshold))

    def _begin(self, settings: TrackSettings, camera: CameraInfoBuffer) -> None:
        if settings.ffc_topic:
            flag = ShutterFlag(self._node, settings.ffc_topic, self.frames.announce, self._warnings)
            self._closers.append(flag.close)
        if settings.published == "none":
            return
        turn = None
        if settings.bearing_frame:
            transforms = self._transforms(f"bearing_frame {settings.bearing_frame}")
            turn = partial(transforms.turned, settings.bearing_frame)
        self.thread = TrackingThread(
            settings.follower(self._motion(settings, camera)),
            self._outputs,
            camera,
            self._warnings,
            settings.published,
            settings.target_ids,
            turn,
        )
        self.thread.start()

    def _motion(self, settings: TrackSettings, camera: CameraInfoBuffer) -> MotionSource | None:
        if settings.motion_topic:
            imu = ImuInput(self._node, settings.motion_topic, settings.mounting, camera, self._warnings)
            self._closers.append(imu.close)
            return imu.motion
        if settings.motion_frame:
            transforms = self._transforms(f"motion_frame {settings.motion_frame}")
            return tf_motion(transforms, settings.motion_frame, camera)
        return None

    def _transforms(self, asked_by: str) -> Transforms:
        transforms = Transforms(self._node, asked_by, self._warnings)
        self._closers.append(transforms.close)
        return transforms
