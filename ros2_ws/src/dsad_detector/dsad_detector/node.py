"""The lifecycle node: frames in, masks and targets out."""

from __future__ import annotations

import gc
import time
from copy import copy
from typing import Any

import rclpy
from rclpy.subscription import Subscription
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from dsad_common import topics
from dsad_common.diagnostics import Diagnostics, Report
from dsad_common.events import QosWatch
from dsad_common.parameters import declare
from dsad_common.qos import best_effort, latched, reliable
from dsad_common.run import main as run_main
from dsad_common.subscriber_wait import SubscriberWait
from dsad_core.engines import progress
from dsad_core.errors import UsageError
from dsad_detector.camera_info_buffer import CameraInfoBuffer
from dsad_detector.compressed import INPUTS
from dsad_detector.counters import DropShare
from dsad_detector.first_frame import first_frame_size
from dsad_detector.following import Following
from dsad_detector.frame_intake import FrameIntake
from dsad_detector.image_input import ImageInput
from dsad_detector.inference import InferenceThread, Outputs
from dsad_detector.lifecycle import SafeLifecycleNode, transition
from dsad_detector.loading import Loaded, load_detector
from dsad_detector.messages import engine_info, frame_counters
from dsad_detector.settings import PARAMETERS, TAKEN_AT_CONFIGURE, Settings
from dsad_detector.status import DetectorStatus
from dsad_detector.throttled_warnings import ThrottledWarnings
from dsad_detector.track_settings import TRACK_PARAMETERS, TrackSettings, region
from dsad_msgs.msg import EngineInfo, FrameCounters, FrameTiming, TargetArray

#: Seconds that a build which was told to end may take for it.
PATIENCE_SECONDS = 1.0


class DetectorNode(SafeLifecycleNode):
    """*configure* loads, verifies, tests and warms up the engine; *activate* subscribes.

    The executor's thread runs transitions, parameters, diagnostics and the subscriptions, whose
    callbacks only store what they get; the work on frames is the inference thread's, and *configure* runs
    in a thread of its own.

    Attributes:
        done, hung: the node ends by itself; *configure* could not be ended. See ``run_node``.

    Raises:
        BadParameter, UsageError: a parameter given at start is refused.
    """

    def __init__(self) -> None:
        super().__init__("detector")
        declare(self, (*PARAMETERS, *TRACK_PARAMETERS), self._on_parameters)
        Settings.from_parameters(self._values())
        TrackSettings.from_parameters(self._values())
        self._topic = self.resolve_topic_name(topics.IMAGE_RAW)
        self._warnings = ThrottledWarnings(self.get_logger())
        self._qos = QosWatch(self, self.get_logger().warning)
        self._loaded: Loaded | None = None
        self._inference: InferenceThread | None = None
        self._camera_input: Subscription | None = None
        self._image_input: ImageInput | None = None
        self._fault = ""
        self._doing = ""
        self._task = progress.Progress(self._note_progress)
        self.done = Future()
        self.hung = False
        self._reset_input()
        self._outputs = Outputs(
            mask=self._qos.publisher(Image, topics.MASK, reliable(50)),
            targets=self._qos.publisher(TargetArray, topics.TARGETS, reliable(50)),
            timing=self._qos.publisher(FrameTiming, topics.TIMING, reliable(50)),
            overlay=self._qos.publisher(Image, topics.OVERLAY, reliable(1)),
        )
        self._following = Following(self, self._qos, self._warnings, self._outputs.targets)
        self._engine_publisher = self._qos.publisher(EngineInfo, topics.ENGINE, latched())
        self._counters_publisher = self._qos.publisher(FrameCounters, topics.COUNTERS, latched())
        self._last_counters = None
        self._diagnostics = Diagnostics(self, self._report)
        if self._value("autostart"):
            # Not here: a transition may take long, and the node should answer services before it.
            self._autostart = self.create_timer(0.0, self._start)

    def close(self) -> None:
        """Stop work and free the engine before the node is destroyed."""
        self._task.cancelled.set()
        if not self.worker.join(PATIENCE_SECONDS):
            self.hung = True
            self.get_logger().warning(f"ends while configuring: {self._doing}")
            return
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
        try:
            with progress.listen(self._task):
                self._loaded = load_detector(settings, self.get_logger().info, lambda: first_frame_size(self))
            self._loaded.detector.region = region(self._values())
        finally:
            self._doing = ""
        _spare_the_garbage_collector()
        self._publish_engine(engine_info(self._loaded))
        self._following.tell_labels(self._loaded.detector.threshold)

    @transition
    def on_activate(self) -> None:
        self._fault = ""
        self._topic = self.resolve_topic_name(INPUTS[self._value("image_transport")][1])
        self._reset_input()
        self._following.begin(TrackSettings.from_parameters(self._values()), self._camera)
        self._inference = InferenceThread(
            self._loaded.detector,
            self._outputs,
            self._camera,
            self._intake.counters,
            self._warnings,
            self._value("deadline_ms"),
            self._following.frames,
            self._following.thread,
        )
        self._inference.start()
        self._intake.deliver = self._inference.put
        self._camera_input = self._qos.subscription(
            CameraInfo, topics.CAMERA_INFO, self._camera.update, best_effort(10)
        )
        self._image_input = ImageInput(
            self,
            self._qos,
            self._intake.callback,
            self._intake.on_lost,
            self._value("image_reliability"),
            self._value("image_transport"),
        )

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
        if self._task.cancelled.is_set():
            return  # the process ends, and nothing has failed
        self._fault = reason
        self.get_logger().error(reason)
        if self._loaded is None:
            self._publish_engine(EngineInfo(refusal=reason))

    def _start(self) -> None:
        self.destroy_timer(self._autostart)
        answers = (self._outputs.mask, self._outputs.timing, self._following.tracks)
        wait = SubscriberWait(self, answers, self._value("wait_for"), everywhere=True)
        self.bring_up(wait.ready, self._on_refused)

    def _on_refused(self) -> None:
        if self._value("exit_when_refused"):
            self.done.set_result(2)

    def _reset_input(self) -> None:
        self._intake = FrameIntake(self, self._topic, self._warnings)
        self._drops = DropShare()
        wanted = self._value("image_rectified")
        by_name = self._topic.rsplit("/", 1)[-1].startswith("image_rect")
        self._camera = CameraInfoBuffer(rectified=by_name if wanted == "auto" else wanted == "yes")

    def _stop(self) -> None:
        if self._image_input is not None:
            self._image_input.close()
            self.destroy_subscription(self._camera_input)
            self._image_input = self._camera_input = None
        inference, self._inference = self._inference, None
        if inference is not None:
            try:
                inference.stop()
            except TimeoutError:
                # The thread that hangs still uses the engine: closing it would crash the process.
                self._loaded = None
                raise
            finally:
                self._following.end()
            self._publish_counters()

    def _release(self) -> None:
        self._stop()
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            self._publish_engine(EngineInfo())
            loaded.detector.engine.close()

    # The engine

    def _note_progress(self, text: str) -> None:
        self._doing = text

    def _publish_engine(self, info: EngineInfo) -> None:
        if rclpy.ok():
            info.header.stamp = self.get_clock().now().to_msg()
            self._engine_publisher.publish(info)

    def _publish_counters(self) -> None:
        """Publish what became of all frames, unless it was published already."""
        message = frame_counters(self._intake.counters)
        if message != self._last_counters and rclpy.ok():
            self._last_counters = copy(message)
            message.header = Header(stamp=self.get_clock().now().to_msg())
            self._counters_publisher.publish(message)

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
        if self._loaded is not None:
            detector = self._loaded.detector
            before, detector.threshold = (
                detector.threshold,
                settings.threshold or detector.engine.manifest.threshold,
            )
            if detector.threshold != before:
                self._publish_engine(engine_info(self._loaded))
                self._following.tell_labels(detector.threshold)
            if later := sorted(TAKEN_AT_CONFIGURE & changes.keys()):
                self.get_logger().info(f"{', '.join(later)}: taken at the next configure")
        if self._inference is not None and "deadline_ms" in changes:
            self._inference.deadline_ms = changes["deadline_ms"]
        return None

    def _report(self) -> Report:
        self._publish_counters()
        self._look_for_another_detector()
        warnings = self._warnings.recent() | {text: text for text in self._qos.mismatches()}
        if self._camera.fault:
            warnings["camera"] = self._camera.fault
        now = time.monotonic()
        return DetectorStatus(
            state=self.state,
            fault=self._fault,
            detector=self._loaded.detector if self._loaded else None,
            counters=self._intake.counters,
            topic=self._topic,
            publishers=[_full_name(publisher) for publisher in self._intake.publishers()],
            silence=now - self._intake.counters.last_received / 1e9,
            stale_timeout=self._value("stale_timeout_s"),
            warnings=warnings,
            frame_kinds=self._following.frames.counts,
            doing=self._doing,
            drop_share=self._drops.look(now, self._intake.counters),
            drop_warn_share=self._value("drop_warn_share"),
            reliability=self._image_input.reliability if self._image_input else "",
        ).report()

    def _look_for_another_detector(self) -> None:
        topic = self.resolve_topic_name(topics.MASK)
        publishers = self.get_publishers_info_by_topic(topic)
        if len(publishers) > 1:
            names = ", ".join(sorted(_full_name(publisher) for publisher in publishers))
            self._warnings.report(
                "second detector",
                f"{len(publishers)} nodes publish {topic}: {names}; every frame is answered as often. "
                "Stop all but one, or give each a namespace",
            )


def _full_name(endpoint) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


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
