"""Who listens: frames sent before the listeners are found by discovery would be lost."""

import time
from collections.abc import Callable

from rclpy.duration import Duration

from dsad_common import topics
from dsad_common.subscriber_wait import SubscriberWait, node_names

_POLL = 0.02


class Listeners:
    """The subscribers that a source waits for.

    Args:
        node: the source's node.
        frame_publisher: its publisher of frames.
        companions: its publishers of what goes with them.
        answering: ask for a node that subscribes to the frames and publishes ``timing``.
        names: nodes, of the same namespace or by their full names, that must subscribe to the frames or a
            companion.
    """

    def __init__(self, node, frame_publisher, companions: list, answering: bool, names: list[str]):
        self._node = node
        self._publisher = frame_publisher
        self._answering = answering
        self._subscribers = SubscriberWait(node, [frame_publisher, *companions], names)

    def wait(self, patience: float, forever: bool, stopped: Callable[[], bool]) -> str | None:
        """Block until everybody listens; what is missing after ``patience`` seconds, else None."""
        deadline = time.monotonic() + patience
        while True:
            missing, settled = self._missing(), self._subscribers.settled()
            if stopped() or not missing and settled:
                return None
            if missing and not forever and time.monotonic() >= deadline:
                return missing
            time.sleep(_POLL)

    def wait_delivered(self, patience: float) -> None:
        """Block until reliable subscribers have every frame, at most ``patience`` seconds."""
        self._publisher.wait_for_all_acked(Duration(seconds=patience))

    def _missing(self) -> str | None:
        topic = self._publisher.topic_name
        if not self._publisher.get_subscription_count():
            return f"nobody subscribes to {topic}"
        if self._answering:
            timing = self._node.resolve_topic_name(topics.TIMING)
            subscribers = node_names(self._node.get_subscriptions_info_by_topic(topic))
            if not subscribers & node_names(self._node.get_publishers_info_by_topic(timing)):
                return f"nobody both subscribes to {topic} and publishes {timing}"
        if absent := self._subscribers.missing():
            return f"node {' and '.join(absent)} does not listen in {self._node.get_namespace()}"
        return None
