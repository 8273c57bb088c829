"""Who listens: frames sent before the listeners are found by discovery would be lost."""

import time
from collections.abc import Callable

from dsad_common.node_names import resolve_node
from rclpy.duration import Duration

# A node's subscriptions are found one after the other, and each is one-sided for some milliseconds: we match
# it before it matches us, and what is sent in between is lost to it. So nothing new must have been found for
# this long, seconds.
_QUIET = 0.3
_POLL = 0.02


class Listeners:
    """Watches for the subscribers a source waits for.

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
        self._companions = companions
        self._answering = answering
        self._names = names

    def wait(self, patience: float, forever: bool, stopped: Callable[[], bool]) -> str | None:
        """Block until everybody listens; what is missing after ``patience`` seconds, else None."""
        deadline = time.monotonic() + patience
        audience, since = None, time.monotonic()
        while True:
            missing, found, now = self._missing(), self._audience(), time.monotonic()
            if found != audience:
                audience, since = found, now
            if stopped() or not missing and now - since >= _QUIET:
                return None
            if missing and not forever and now >= deadline:
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
            timing = self._node.resolve_topic_name("timing")
            if not self._subscribers(topic) & _names(self._node.get_publishers_info_by_topic(timing)):
                return f"nobody both subscribes to {topic} and publishes {timing}"
        if self._names:
            namespace = self._node.get_namespace()
            listening = set().union(*(nodes for nodes, _ in self._audience()))
            absent = [name for name in self._names if resolve_node(name, namespace) not in listening]
            if absent:
                return f"node {' and '.join(absent)} does not listen in {namespace}"
        return None

    def _audience(self) -> list[tuple[set[tuple[str, str]], int]]:
        """Of each publisher: the nodes known to subscribe, and how many subscriptions are matched."""
        return [
            (self._subscribers(publisher.topic_name), publisher.get_subscription_count())
            for publisher in (self._publisher, *self._companions)
        ]

    def _subscribers(self, topic: str) -> set[tuple[str, str]]:
        return _names(self._node.get_subscriptions_info_by_topic(topic))


def _names(endpoints) -> set[tuple[str, str]]:
    return {(endpoint.node_namespace, endpoint.node_name) for endpoint in endpoints}
