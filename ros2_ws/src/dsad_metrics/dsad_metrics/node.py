"""Node ``metrics``: live Pd, Fa, IoU, rate and latency, and a report at the end."""

from __future__ import annotations

import math
import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from dsad_common import topics
from dsad_common.diagnostics import OK, WARN, Diagnostics, Report
from dsad_common.events import QosWatch
from dsad_common.parameters import declare
from dsad_common.qos import best_effort, latched, reliable
from dsad_common.run import main as run_main
from dsad_common.stamps import stamp_ns, to_stamp
from dsad_core.errors import DsadError
from dsad_core.frame.codec import decode_message
from dsad_core.frame.timing import FrameTimes
from dsad_core.machine import machine_facts
from dsad_metrics.facts import RunningNodes
from dsad_metrics.messages import boxes_of, mask_of, summary_message, track_metrics, tracks_of
from dsad_metrics.settings import METRICS
from dsad_metrics.stopping import drain, have_publishers
from dsad_msgs.msg import (
    DetectionMetrics,
    EngineInfo,
    FrameCounters,
    FrameTiming,
    SourceInfo,
    TargetArray,
    TrackArray,
)
from dsad_tools.metrics.live import LiveMetrics
from dsad_tools.report import build_report

#: Messages that wait while a report is written: seconds of frames at any rate a detector reaches.
PICTURE_DEPTH, SMALL_DEPTH = 200, 1000
GIVEN_FACTS = ("engine", "target", "source", "split", "split_hash")
#: At the end, an answer still on its way comes within this time or not at all, s; and where frames go on, the
#: counting ends after so long.
QUIET_AT_END, PATIENCE_AT_END = 0.5, 1.0


class Metrics(Node):
    """Thin: subscriptions in, `LiveMetrics` in the middle, figures and files out."""

    def __init__(self):
        super().__init__("metrics")
        declare(self, METRICS)
        self._timeout = self._value("join_timeout")
        self._pictures = self._value("report_frames")
        self._metrics = LiveMetrics(
            self._value("matching"),
            self._value("window"),
            round(self._timeout * 1e9),
            self._pictures,
            self._on_refusal,
        )
        self._nodes = RunningNodes()
        self._machine = machine_facts()
        self._truth_seen = False
        self._first_mask: float | None = None
        self._frame_id = ""
        self._refusals_before = 0
        self._qos_watch = QosWatch(self, self.get_logger().warning)
        self._inputs = self._subscribe()
        self._images = None
        self._follow_output()
        self._publisher = self._qos_watch.publisher(DetectionMetrics, topics.METRICS, reliable(10))
        # Durations and waiting on the steady clock: simulated time may stand still or jump.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self._value("publish_rate"), self._publish, clock=steady)
        self.create_timer(min(0.1, self._timeout / 4), self._expire, clock=steady)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/save", self._on_save)
        self._diagnostics = Diagnostics(self, self._report)

    def close(self) -> None:
        """Count what is still on its way, and write the files."""
        inputs = self._inputs if self._images is None else [self._images, *self._inputs]
        drain(inputs, PATIENCE_AT_END, QUIET_AT_END, lambda: have_publishers(self, inputs))
        self._metrics.drain()
        if self._value("output_dir"):
            try:
                self.get_logger().info(f"wrote {self._save()}")
            except (OSError, DsadError) as error:
                self.get_logger().error(f"report not written: {error}")

    def _value(self, name: str):
        return self.get_parameter(name).value

    def _subscribe(self) -> list:
        watch = self._qos_watch.subscription
        inputs = [
            # Best effort, as drivers of cameras often are: a reliable subscriber would get nothing from those.
            watch(CameraInfo, topics.CAMERA_INFO, self._on_camera_info, best_effort(SMALL_DEPTH)),
            watch(Image, topics.GROUND_TRUTH, self._on_truth, reliable(PICTURE_DEPTH)),
            watch(TargetArray, topics.GROUND_TRUTH_TARGETS, self._on_boxes, reliable(SMALL_DEPTH)),
            watch(Image, topics.MASK, self._on_mask, reliable(PICTURE_DEPTH)),
            watch(FrameTiming, topics.TIMING, self._on_timing, reliable(SMALL_DEPTH)),
            watch(TrackArray, topics.TRACKS, self._on_tracks, reliable(SMALL_DEPTH)),
            watch(FrameCounters, topics.COUNTERS, self._on_counters, latched()),
        ]
        self.create_subscription(EngineInfo, topics.ENGINE, self._nodes.take_engine, latched())
        self.create_subscription(SourceInfo, topics.SOURCE_INFO, self._nodes.take_source, latched())
        return inputs

    def _follow_output(self) -> None:
        """Take images only while there is a report to show them in: they are what costs most."""
        wanted = self._pictures > 0 and bool(self._value("output_dir"))
        if wanted and self._images is None:
            # Best effort: a picture that gets lost only leaves the choice for the report smaller.
            self._images = self._qos_watch.subscription(
                Image, topics.IMAGE_RAW, self._on_image, best_effort(10)
            )
        elif not wanted and self._images is not None:
            self.destroy_subscription(self._images)
            self._images = None

    def _put(self, message, part: str, value) -> None:
        self._metrics.put(stamp_ns(message.header.stamp), part, value, time.monotonic_ns())

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._put(message, "announced", None)

    def _on_image(self, message: Image) -> None:
        try:
            self._metrics.put_image(stamp_ns(message.header.stamp), decode_message(message))
        except DsadError:
            pass  # The detector refuses, counts and reports it; here it is only a picture less.

    def _on_truth(self, message: Image) -> None:
        self._truth_seen = True
        try:
            self._put(message, "truth", mask_of(message))
        except DsadError as error:
            self._refuse("truth", error)

    def _on_boxes(self, message: TargetArray) -> None:
        self._truth_seen = True
        self._put(message, "boxes", boxes_of(message))

    def _on_mask(self, message: Image) -> None:
        self._frame_id = message.header.frame_id
        self._first_mask = self._first_mask or time.monotonic()
        try:
            self._put(message, "mask", mask_of(message))
        except DsadError as error:
            self._refuse("mask", error)

    def _on_timing(self, message: FrameTiming) -> None:
        self._on_counters(message)
        try:
            times = FrameTimes.of(message)
            if message.tracks_follow:
                self._put(message, "follow", message.activated)
            self._put(message, "timing", times)
        except DsadError as error:
            self._refuse("timing", error)

    def _on_tracks(self, message: TrackArray) -> None:
        try:
            self._put(message, "tracks", tracks_of(message))
        except DsadError as error:
            self._refuse("tracks", error)

    def _on_counters(self, message: FrameCounters | FrameTiming) -> None:
        self._metrics.put_detector_counters(
            message.activated,
            frames_dropped=message.frames_dropped,
            frames_lost=message.frames_lost,
            frames_refused=message.frames_refused,
        )

    def _on_refusal(self, reason: str) -> None:
        self.get_logger().warning(reason, throttle_duration_sec=5.0)

    def _refuse(self, what: str, error: DsadError) -> None:
        self._metrics.refuse(what, str(error))

    def _expire(self) -> None:
        # Once truth has been seen, a source that has just gone must not turn what waits in our queue
        # into unlabelled frames; nor, at the beginning, one that is not discovered yet.
        begins = self._first_mask is None or time.monotonic() < self._first_mask + self._timeout
        self._metrics.joiner.truth_expected = (
            self._truth_seen
            or begins
            or any(
                self.count_publishers(topic) for topic in (topics.GROUND_TRUTH, topics.GROUND_TRUTH_TARGETS)
            )
        )
        self._metrics.expire(time.monotonic_ns())

    def _refusals(self) -> int:
        return sum(
            self._metrics.counters[f"{what}_refused"] for what in ("truth", "mask", "timing", "tracks")
        )

    def _facts(self):
        return self._nodes.facts({name: self._value(name) for name in GIVEN_FACTS}, self._machine)

    def _publish(self) -> None:
        self._follow_output()
        metrics, facts = self._metrics, self._facts()
        message = DetectionMetrics(
            engine=facts.engine,
            matching=metrics.matching,
            threshold=math.nan if facts.threshold is None else facts.threshold,
            frames_dropped=metrics.counters["frames_dropped"],
            frames_lost=metrics.counters["frames_lost"],
            frames_refused=metrics.counters["frames_refused"],
            window=summary_message(metrics.window()),
            total=summary_message(metrics.total()),
            tracks=track_metrics(metrics.tracks(), metrics.frames_without_tracks),
        )
        message.header.stamp = to_stamp(metrics.newest_stamp_ns)
        message.header.frame_id = self._frame_id
        self._publisher.publish(message)

    def _save(self) -> str:
        facts = self._facts()
        title = " on ".join(filter(None, [facts.engine or "Detector", facts.source]))
        run = self._metrics.run_record(title, facts, self._nodes.notes())
        return str(build_report(self._value("output_dir"), run))

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        frames = self._metrics.counters["frames"]
        self._metrics.reset()
        self._nodes.restart()
        self._truth_seen = False
        self._refusals_before = 0
        response.success, response.message = True, f"{frames} frames forgotten"
        return response

    def _on_save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if not self._value("output_dir"):
            response.message = "output_dir is empty: set it to a folder first"
            return response
        try:
            response.message = self._save()
            response.success = True
        except (OSError, DsadError) as error:
            response.message = f"report not written: {error}"
        return response

    def _report(self) -> Report:
        metrics = self._metrics
        facts: dict[str, object] = {
            "matching": metrics.matching,
            "frames_awaited": metrics.joiner.pending,
            "images_held": metrics.images_held,
        }
        facts |= dict(sorted(metrics.counters.items())) | metrics.joined_counters()
        refusals, before = self._refusals(), self._refusals_before
        self._refusals_before = refusals
        warnings = self._qos_watch.mismatches()
        if refusals > before:
            warnings.append(f"{refusals - before} refused: {metrics.refusal}")
        if metrics.joiner.unstamped:
            warnings.append("frames with stamp 0 cannot be joined with their truth")
        if warnings:
            return WARN, "; ".join(warnings), facts
        return OK, f"{metrics.counters['frames']} frames, {metrics.total().result.frames} scored", facts


def main() -> None:
    """Console script."""
    run_main(Metrics)
