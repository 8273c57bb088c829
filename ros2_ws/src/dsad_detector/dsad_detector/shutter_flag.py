"""A driver's word on its shutter: frames meanwhile are no scene."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy

from dsad_common.qos import reliable
from dsad_detector.throttled_warnings import ThrottledWarnings

#: How often the topic's publishers are looked at, s.
LOOK_SECONDS = 0.2
#: States of optris' Flag in which the picture is not the scene: closed, opening, closing. 0 is open, 4 an error.
CLOSED_STATES = (1, 2, 3)
DEPTH = 10


class ShutterFlag:
    """Follows a topic that says whether the shutter is closed; its type is looked up once somebody publishes it.

    std_msgs/Bool says it by itself, Flag of optris_drivers2 (a header and ``flag_state``) by its state. A publisher
    that goes away leaves the shutter open.

    Args:
        node: that subscribes.
        topic: relative or absolute name.
        tell: gets whether the shutter is closed, on the executor.
        warnings: gets a type that says nothing of a shutter.
    """

    def __init__(self, node, topic: str, tell: Callable[[bool], None], warnings: ThrottledWarnings):
        self._node = node
        self._topic = node.resolve_topic_name(topic)
        self._tell = tell
        self._warnings = warnings
        self._subscription = None
        self._closed = False
        self._timer = node.create_timer(
            LOOK_SECONDS, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._look()

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_timer(self._timer)
        self._unsubscribe()

    def _look(self) -> None:
        publishers = self._node.get_publishers_info_by_topic(self._topic)
        if self._subscription is not None:
            if not publishers:
                self._unsubscribe()
            return
        for publisher in publishers[:1]:
            try:
                kind, is_closed = _reader(publisher.topic_type)
            except ValueError as error:
                self._warnings.report("ffc_topic", f"ffc_topic {self._topic}: {error}")
                continue
            self._subscription = self._node.create_subscription(
                kind, self._topic, partial(self._receive, is_closed), _matching(publishers)
            )

    def _receive(self, is_closed: Callable, message) -> None:
        self._take(is_closed(message))

    def _take(self, closed: bool) -> None:
        if closed != self._closed:
            self._closed = closed
            self._tell(closed)

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self._take(False)


def _reader(type_name: str) -> tuple[type, Callable[[object], bool]]:
    """The message class of a type, and what tells whether the shutter is closed.

    Raises:
        ValueError: the type is not installed, or says nothing of a shutter.
    """
    package, _, name = type_name.partition("/msg/")
    if (package, name) != ("std_msgs", "Bool") and name != "Flag":
        raise ValueError(f"type {type_name} says nothing of a shutter; std_msgs/Bool and optris' Flag do")
    try:
        kind = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        raise ValueError(f"type {type_name} is not installed here; install {package}") from None
    if name == "Bool":
        return kind, lambda message: message.data
    if "flag_state" not in kind.get_fields_and_field_types():
        raise ValueError(f"type {type_name} has no flag_state; std_msgs/Bool and optris' Flag say it")
    return kind, lambda message: message.flag_state in CLOSED_STATES


def _matching(publishers):
    """As reliable and as durable as all publishers are: a flag that holds since before we came is heard, too."""
    qos = reliable(DEPTH)
    profiles = [publisher.qos_profile for publisher in publishers]
    if any(profile.reliability == QoSReliabilityPolicy.BEST_EFFORT for profile in profiles):
        qos.reliability = QoSReliabilityPolicy.BEST_EFFORT
    if all(profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL for profile in profiles):
        qos.durability = QoSDurabilityPolicy.TRANSIENT_LOCAL
    return qos
