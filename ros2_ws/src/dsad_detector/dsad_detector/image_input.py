"""The subscription to frames, as reliable as its publishers allow."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSReliabilityPolicy

from dsad_common.events import QosWatch
from dsad_common.qos import newest
from dsad_detector.compressed import INPUTS

RELIABILITIES = ("auto", "reliable", "best_effort")
#: How often the publishers are looked at, s.
LOOK_SECONDS = 0.1


class ImageInput:
    """Subscribes to ``image_raw`` or ``image_raw/compressed``, keep last 1.

    ``auto`` is reliable while every publisher is, else best effort: a reliable subscriber gets nothing from a
    best-effort camera, and a best-effort one loses most large frames of a reliable camera.

    Args:
        node: whose subscription it is.
        watch: makes it.
        callback: for each frame.
        on_lost: gets how many frames the transport reports as lost.
        wanted: one of ``RELIABILITIES``.
        transport: one of ``compressed.INPUTS``.
    """

    def __init__(
        self,
        node,
        watch: QosWatch,
        callback: Callable,
        on_lost: Callable[[int], None],
        wanted: str,
        transport: str = "raw",
    ):
        self._type, self._topic = INPUTS[transport]
        self._node, self._watch, self._callback, self._on_lost = node, watch, callback, on_lost
        self._auto = wanted == "auto"
        self._timer = None
        self.reliability = self._allowed() if self._auto else wanted
        self._subscription = self._subscribe()
        if self._auto:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = node.create_timer(LOOK_SECONDS, self._follow, clock=steady)

    def close(self) -> None:
        """Unsubscribe."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self):
        return self._watch.subscription(
            self._type,
            self._topic,
            self._callback,
            newest(self.reliability),
            on_lost=self._on_lost,
            adapts=self._auto,
        )

    def _allowed(self) -> str:
        publishers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(self._topic))
        best_effort = QoSReliabilityPolicy.BEST_EFFORT
        unreliable = any(info.qos_profile.reliability == best_effort for info in publishers)
        return "best_effort" if unreliable else "reliable"

    def _follow(self) -> None:
        allowed = self._allowed()
        if allowed != self.reliability:
            self.reliability = allowed
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()
            self._node.get_logger().info(f"subscribed to {self._topic} {allowed}, as its publishers are")
