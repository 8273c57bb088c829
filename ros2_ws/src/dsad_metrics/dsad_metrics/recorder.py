"""Node ``recorder``: topics as they are, byte for byte, into a rosbag2; ROS's own recorder where there is one."""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.task import Future

from dsad_common import topics
from dsad_common.diagnostics import ERROR, OK, WARN, Diagnostics, Report
from dsad_common.events import QosWatch
from dsad_common.parameters import declare
from dsad_common.qos import reliable
from dsad_common.run import main as run_main
from dsad_common.run import run_node
from dsad_core.errors import UsageError
from dsad_metrics import ros2_bag
from dsad_metrics.bag_thread import BagThread
from dsad_metrics.event_bags import EventBags
from dsad_metrics.settings import RECORDER
from dsad_metrics.stopping import drain, have_publishers
from dsad_msgs.msg import TrackArray
from dsad_tools.bags.recording import Recording
from dsad_tools.bags.types import typestore

_INCOMPLETE = "recorder: parameters 'bag' and 'topics' must name a bag to make and what to record"
DEPTH = 200
LOOK_SECONDS = 0.1
#: At the end, a message still on its way comes within this time, s; and where publishers go on, the recording
#: ends after so long.
QUIET_AT_END, PATIENCE_AT_END = 0.5, 1.0


class Recorder(Node):
    """Raw subscriptions on one side, a thread that writes on the other, a bounded queue between them.

    A message is logged at the time of its arrival on the system clock, as ``ros2 bag record`` does: so the
    bag also tells how late each answer was. Header stamps stay what they are.
    """

    def __init__(self):
        super().__init__("recorder")
        declare(self, RECORDER)
        self.done = Future()
        wanted = [_split(entry) for entry in self._value("topics") if entry]
        if not self._value("bag") or not wanted:
            raise UsageError(_INCOMPLETE)
        for topic, type_name in wanted:
            if type_name:
                _require_known(topic, type_name)
        self._bag = self._open_bags(dict(wanted))
        self._waiting = dict(wanted)
        self._inputs: dict[str, object] = {}
        self._qos_watch = QosWatch(self, self.get_logger().warning)
        self._dropped_before = 0
        self._look()
        self.create_timer(LOOK_SECONDS, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._diagnostics = Diagnostics(self, self._report, hardware_id=self._value("bag"))

    def close(self) -> None:
        """Write what has arrived and finish the bag."""
        # These two never fall silent: this node and the metrics publish them, too.
        frames = [
            self._inputs[topic] for topic in self._inputs if topic not in (topics.METRICS, topics.DIAGNOSTICS)
        ]
        drain(self._inputs.values(), PATIENCE_AT_END, QUIET_AT_END, lambda: have_publishers(self, frames))
        self._bag.close()
        log = self.get_logger()
        log.info(self._bag.outcome)
        if self._bag.dropped:
            log.warning(
                f"{self._bag.dropped} messages dropped: {self._bag.failure or 'the disk was too slow'}"
            )

    def _value(self, name: str):
        return self.get_parameter(name).value

    def _open_bags(self, wanted: dict[str, str | None]) -> BagThread | EventBags:
        size, seconds, queue = map(self._value, ("part_size", "part_duration", "queue"))

        def open_bag(path: Path) -> BagThread:
            return BagThread(lambda: Recording(path, size << 20, seconds), queue << 20)

        around, folder = self._value("around"), Path(self._value("bag"))
        if not around:
            return open_bag(folder)
        if topics.TRACKS not in wanted:
            raise UsageError(f"around {around} needs 'tracks' among the topics")
        latched = [self.resolve_topic_name(topic) for topic in topics.LATCHED]
        seconds_around = self._value("before"), self._value("after")
        return EventBags(folder, open_bag, around, *seconds_around, queue << 20, latched)

    def _look(self) -> None:
        """Subscribe to what can be; adapt to publishers that are best effort; stop after a failure."""
        for topic, type_name in list(self._waiting.items()):
            publishers = self.get_publishers_info_by_topic(topic)
            type_name = type_name or (publishers[0].topic_type if publishers else None)
            if type_name:
                del self._waiting[topic]
                self._subscribe(topic, type_name, QoSReliabilityPolicy.RELIABLE)
        for topic, subscription in list(self._inputs.items()):
            asks = subscription.qos_profile.reliability
            offers = [info.qos_profile.reliability for info in self.get_publishers_info_by_topic(topic)]
            # A reliable subscriber gets nothing from a best-effort camera driver.
            if asks == QoSReliabilityPolicy.RELIABLE and QoSReliabilityPolicy.BEST_EFFORT in offers:
                type_name = self._bag.types[self.resolve_topic_name(topic)]
                self.destroy_subscription(subscription)
                self._subscribe(topic, type_name, QoSReliabilityPolicy.BEST_EFFORT)
        if self._bag.failure and not self.done.done():
            self.get_logger().fatal(self._bag.failure)
            self.done.set_result(1)

    def _subscribe(self, topic: str, type_name: str, reliability: QoSReliabilityPolicy) -> None:
        try:
            message_type = _message_type(topic, type_name)
            _require_known(topic, type_name)
        except UsageError as error:
            self.get_logger().error(str(error))
            return
        qos = reliable(DEPTH)
        qos.reliability = reliability
        if topic in topics.LATCHED:
            qos.durability = QoSDurabilityPolicy.TRANSIENT_LOCAL
        name = self.resolve_topic_name(topic)
        self._bag.types[name] = type_name

        looks = topic == topics.TRACKS and self._value("around")

        def on_message(data: bytes) -> None:
            now = time.time_ns()
            self._bag.put(name, now, data)
            if looks:
                self._bag.take_tracks(deserialize_message(data, TrackArray).tracks, now)

        self._inputs[topic] = self.create_subscription(message_type, topic, on_message, qos, raw=True)

    def _report(self) -> Report:
        bag, dropped_before = self._bag, self._dropped_before
        self._dropped_before = bag.dropped
        facts = {
            "bag": self._value("bag"),
            "messages": bag.written,
            "on disk": bag.on_disk,
            "dropped": bag.dropped,
            "queue [MiB]": f"{bag.queued_bytes / 2**20:.1f}",
            "not yet published": ", ".join(self._waiting),
        }
        if bag.failure:
            return ERROR, bag.failure, facts
        if bag.dropped > dropped_before:
            return WARN, f"{bag.dropped - dropped_before} messages dropped: the disk is too slow", facts
        return OK, f"recording, {bag.written} messages", facts


def _split(entry: str) -> tuple[str, str | None]:
    topic, _, type_name = entry.partition(":")
    return topic, type_name or topics.TYPES.get(topic)


def _require_known(topic: str, type_name: str) -> None:
    if type_name not in typestore().types:
        raise UsageError(f"topic {topic}: type '{type_name}' is none that bags of this suite can hold")


def _message_type(topic: str, type_name: str):
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        raise UsageError(f"topic {topic}: type '{type_name}' is not installed") from None


class _Wishes(Node):
    """Reads the parameters of the recorder, for ``ros2 bag record``, and ends."""

    def __init__(self):
        super().__init__("recorder")
        declare(self, RECORDER)
        self.done = Future()
        self.done.set_result(0)
        value = {parameter.name: self.get_parameter(parameter.name).value for parameter in RECORDER}
        wanted = [_split(entry)[0] for entry in value["topics"] if entry]
        if not value["bag"] or not wanted:
            raise UsageError(_INCOMPLETE)
        if Path(value["bag"]).exists():
            raise UsageError(f"{value['bag']}: exists already; remove it or name another folder")
        self.bag = value["bag"]
        self.topics = [self.resolve_topic_name(topic) for topic in wanted]
        self.latched = [self.resolve_topic_name(topic) for topic in wanted if topic in topics.LATCHED]
        self.part = value["part_size"] << 20, value["part_duration"]
        self.around = value["around"]


def main() -> None:
    """Console script."""
    if not ros2_bag.installed():
        run_main(Recorder)
    wishes: list[_Wishes] = []

    def recorder() -> _Wishes:
        wishes.append(_Wishes())
        return wishes[0]

    if status := run_node(recorder):
        sys.exit(status)
    (wish,) = wishes
    if wish.around:
        run_main(Recorder)  # `ros2 bag record` keeps no seconds before an event of its own
    with tempfile.TemporaryDirectory(prefix="dsad_recorder_") as folder:
        words = ros2_bag.command(wish.bag, wish.topics, wish.latched, *wish.part, Path(folder))
        status = ros2_bag.record(words, Path(wish.bag))
    sys.exit(status)
