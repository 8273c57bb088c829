"""The lifecycle node: frames in, masks and targets out."""

from __future__ import annotations

import gc
import time
from typing import Any

from dsad_common.diagnostics import Diagnostics, Report
from dsad_common.events import QosWatch
from dsad_common.parameters import declare
from dsad_common.qos import newest, reliable
from dsad_common.run import main as run_main
from dsad_core.detector import Detector
from dsad_core.errors import UsageError
from dsad_msgs.msg import FrameTiming, TargetArray, TrackArray
from geometry_msgs.msg import Vector3Stamped
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image

from dsad_detector.audience import Audience
from dsad_detector.camera import Camera
from dsad_detector.counters import Counters
from dsad_detector.diagnosis import Health
from dsad_detector.inference import InferenceThread, Outputs
from dsad_detector.lifecycle import SturdyLifecycleNode, transition
from dsad_detector.loading import load_detector
from dsad_detector.loss import LossCounter
from dsad_detector.problems import Problems
from dsad_detector.settings import PARAMETERS, TAKEN_AT_CONFIGURE, Settings
from dsad_detector.track_messages import Detection2DArray
from dsad_detector.track_settings import TRACK_PARAMETERS, TrackSettings, region
from dsad_detector.tracking import TrackingThread, TrackOutputs
from dsad_detector.watch import FrameWatch

#: From Iron on, rclpy gives a callback of two arguments the message's info too.
HAS_MESSAGE_INFO = hasattr(Subscription, "CallbackType")


class DetectorNode(SturdyLifecycleNode):
    """*configure* loads, verifies and warms up the engine; *activate* subscribes.

    The executor's thread runs transitions, parameters, diagnostics and the subscriptions, whose
    callbacks only store what they get; the work on frames is the inference thread's.

    Raises:
        BadParameter, UsageError: a parameter given at start is refused.
    """

    def __init__(self) -> None:
        super().__init__("detector")
        declare(self, (*PARAMETERS, *TRACK_PARAMETERS), self._on_parameters)
        Settings.from_parameters(self._values())
        TrackSettings.from_parameters(self._values())
        self._topic = self.resolve_topic_name("image_raw")
        self._problems = Problems(self.get_logger())
        self._qos = QosWatch(self, self.get_logger().warning)
        self._detector: Detector | None = None
        self._inference: InferenceThread | None = None
        self._tracking: TrackingThread | None = None
        self._watch = FrameWatch(None)
        self._subscriptions_while_active: list[Subscription] = []
        self._fault = ""
        self._reset_input()
        self._outputs = Outputs(
            mask=self._qos.publisher(Image, "mask", reliable(50)),
            targets=self._qos.publisher(TargetArray, "targets", reliable(50)),
            timing=self._qos.publisher(FrameTiming, "timing", reliable(50)),
            overlay=self._qos.publisher(Image, "overlay", reliable(1)),
        )
        self._track_outputs = TrackOutputs(
            tracks=self._qos.publisher(TrackArray, "tracks", reliable(50)),
            bearing=self._qos.publisher(Vector3Stamped, "bearing", reliable(10)),
            detections=self._qos.publisher(Detection2DArray, "detections", reliable(50))
            if Detection2DArray
            else None,
        )
        self._diagnostics = Diagnostics(self, self._report)
        if self._value("autostart"):
            # Not here: a transition may take long, and the node should answer services before it.
            self._autostart = self.create_timer(0.0, self._start)

    def close(self) -> None:
        """Stop work and free the engine before the node is destroyed."""
        try:
            self._release()
        except TimeoutError as error:
            self.get_logger().error(str(error))

    # Transitions

    @transition
    def on_configure(self) -> None:
        settings = Settings.from_parameters(self._values())
        self._fault = ""
        self._diagnostics.hardware_id = settings.target
        self._diagnostics.publish()  # a device may take minutes to build its engine
        self._detector = load_detector(settings, self.get_logger().info)
        self._detector.region = region(self._values())
        _spare_the_garbage_collector()

    @transition
    def on_activate(self) -> None:
        self._fault = ""
        self._reset_input()
        tracks = TrackSettings.from_parameters(self._values())
        self._watch = FrameWatch(tracks.frame_monitor(), empties=tracks.monitor == "refuse")
        follower = tracks.follower()
        if follower is not None:
            self._tracking = TrackingThread(
                follower, self._track_outputs, self._camera, self._problems, tracks.published
            )
            self._tracking.start()
        self._inference = InferenceThread(
            self._detector,
            self._outputs,
            self._camera,
            self._counters,
            self._problems,
            self._value("deadline_ms"),
            self._watch,
            self._tracking,
        )
        self._inference.start()
        callback = self._on_image_with_info if HAS_MESSAGE_INFO else self._on_image
        self._subscriptions_while_active = [
            self._qos.subscription(CameraInfo, "camera_info", self._camera.update, newest()),
            self._qos.subscription(
                Image, "image_raw", callback, newest(self._value("image_reliability")), on_lost=self._on_lost
            ),
        ]

    @transition
    def on_deactivate(self) -> None:
        self._stop()

    @transition
    def on_cleanup(self) -> None:
        self._release()

    @transition
    def on_shutdown(self) -> None:
        self._release()

    @transition
    def on_error(self) -> None:
        self._release()

    def transition_failed(self, reason: str) -> None:
        self._fault = reason
        self.get_logger().error(reason)
        self._diagnostics.publish()

    def _start(self) -> None:
        self.destroy_timer(self._autostart)
        answers = (self._outputs.mask, self._outputs.timing)
        self.bring_up(Audience(self, answers, self._value("wait_for")).ready)

    def _reset_input(self) -> None:
        self._counters = Counters(last_received=time.monotonic_ns())
        self._camera = Camera()
        self._loss = LossCounter(
            lambda: [tuple(publisher.endpoint_gid) for publisher in self._image_publishers()]
        )
        self._frame_size: tuple[int, int] | None = None

    def _stop(self) -> None:
        for subscription in self._subscriptions_while_active:
            self.destroy_subscription(subscription)
        self._subscriptions_while_active = []
        inference, self._inference = self._inference, None
        tracking, self._tracking = self._tracking, None
        if inference is not None:
            try:
                inference.stop()
            except TimeoutError:
                # The thread that hangs still uses the engine: closing it would crash the process.
                self._detector = None
                raise
            finally:
                if tracking is not None:
                    tracking.stop()

    def _release(self) -> None:
        self._stop()
        detector, self._detector = self._detector, None
        if detector is not None:
            detector.engine.close()

    # Input

    def _on_image_with_info(self, message: Image, info: dict[str, Any]) -> None:
        received = time.monotonic_ns()
        if lost := self._loss.lost_before(info["publication_sequence_number"]):
            self._counters.lost += lost
            self._problems.report("lost", f"{self._counters.lost} frames lost before the detector's callback")
        self._take(message, received)

    def _on_image(self, message: Image) -> None:
        self._take(message, time.monotonic_ns())

    def _take(self, message: Image, received: int) -> None:
        counters, size = self._counters, (message.width, message.height)
        counters.received += 1
        counters.last_received = received
        counters.last_frame = f"{message.width}x{message.height} {message.encoding}"
        if self._frame_size not in (None, size):
            counters.size_changes += 1
            self._problems.report(
                "frame size", "frame size changed from {}x{} to {}x{}".format(*self._frame_size, *size)
            )
        self._frame_size = size
        self._inference.put(message, received)

    def _on_lost(self, count: int) -> None:
        self._counters.lost_by_transport += count
        self._problems.report(
            "transport",
            f"{self._counters.lost_by_transport} frames lost in transport on {self._topic}; "
            "large frames need a DDS profile, see the package's README",
        )

    # Parameters and diagnostics

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _values(self) -> dict[str, Any]:
        return {parameter.name: self._value(parameter.name) for parameter in (*PARAMETERS, *TRACK_PARAMETERS)}

    def _on_parameters(self, changes: dict[str, Any]) -> str | None:
        try:
            settings = Settings.from_parameters(self._values() | changes)
            TrackSettings.from_parameters(self._values() | changes)
            region(self._values() | changes)
        except UsageError as error:
            return str(error)
        if self._detector is not None:
            self._detector.threshold = settings.threshold or self._detector.engine.manifest.threshold
            if later := sorted(TAKEN_AT_CONFIGURE & changes.keys()):
                self.get_logger().info(f"{', '.join(later)}: taken at the next configure")
        if self._inference is not None and "deadline_ms" in changes:
            self._inference.deadline_ms = changes["deadline_ms"]
        return None

    def _image_publishers(self) -> list:
        return self.get_publishers_info_by_topic(self._topic)

    def _report(self) -> Report:
        problems = self._problems.recent() | {text: text for text in self._qos.mismatches()}
        if self._camera.fault:
            problems["camera"] = self._camera.fault
        return Health(
            state=self.state,
            fault=self._fault,
            detector=self._detector,
            counters=self._counters,
            topic=self._topic,
            publishers=[
                f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
                for publisher in self._image_publishers()
            ],
            silence=(time.monotonic_ns() - self._counters.last_received) / 1e9,
            stale_timeout=self._value("stale_timeout_s"),
            problems=problems,
            frame_kinds=self._watch.counts,
        ).report()


def _spare_the_garbage_collector() -> None:
    """Put what is loaded by now out of the collector's sight.

    A full collection walks every object of the process, tens of milliseconds with the runtimes
    loaded; afterwards it walks only what frames leave behind.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def main() -> None:
    """Entry point of the ``detector`` executable."""
    run_main(DetectorNode)
