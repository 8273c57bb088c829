"""Middleware events: endpoints that do not match, and messages that the transport gave up on.

rclpy renamed the module between Humble and Iron; this is the one place that knows.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.duration import Duration
from rclpy.qos import (
    QoSCompatibility,
    QoSProfile,
    qos_check_compatible,
    qos_policy_name_from_kind,
)

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )


class QosWatch:
    """Makes endpoints that tell of incompatible ones on their topic, and remembers which.

    Args:
        node: the rclpy node that owns the endpoints.
        on_mismatch: called on the executor with one line when an incompatible endpoint appears.
    """

    def __init__(self, node, on_mismatch: Callable[[str], None]):
        self._node = node
        self._on_mismatch = on_mismatch
        self._suspects: dict[str, tuple[str, Callable[[], bool]]] = {}

    def publisher(self, message_type, topic: str, qos):
        """``node.create_publisher`` with the watch on it."""
        full = self._node.resolve_topic_name(topic)

        def incompatible(event) -> None:
            self._note(
                full,
                event,
                "a subscriber asks for more than is offered and gets nothing",
                lambda: self._any_incompatible_subscriber(full, qos),
            )

        try:
            return self._node.create_publisher(
                message_type,
                topic,
                qos,
                event_callbacks=PublisherEventCallbacks(incompatible_qos=incompatible),
            )
        except UnsupportedEventTypeError:
            return self._node.create_publisher(message_type, topic, qos)

    def subscription(
        self,
        message_type,
        topic: str,
        callback,
        qos,
        on_lost: Callable[[int], None] | None = None,
        adapts: bool = False,
    ):
        """``node.create_subscription`` with the watch on it.

        Args:
            on_lost: called with the number of messages that the transport reports as lost, where
                the middleware has such an event.
            adapts: a mismatch is not noted: whoever subscribes follows the publishers.
        """
        full = self._node.resolve_topic_name(topic)

        def incompatible(event) -> None:
            self._note(
                full,
                event,
                "a publisher offers less than is asked for, nothing of it is received",
                lambda: self._any_incompatible_publisher(full, qos),
            )

        def lost(event) -> None:
            on_lost(event.total_count_change)

        events = {} if adapts else {"incompatible_qos": incompatible}
        if on_lost is not None:
            events["message_lost"] = lost
        # A middleware may lack either event; then the subscription goes without.
        for names in (list(events), [name for name in events if name == "incompatible_qos"], []):
            wanted = SubscriptionEventCallbacks(**{name: events[name] for name in names})
            try:
                return self._node.create_subscription(
                    message_type, topic, callback, qos, event_callbacks=wanted
                )
            except UnsupportedEventTypeError:
                continue
        raise RuntimeError(f"no subscription to {full}")  # without events nothing is unsupported

    def mismatches(self) -> list[str]:
        """One line for each topic that has an incompatible endpoint right now."""
        self._suspects = {topic: suspect for topic, suspect in self._suspects.items() if suspect[1]()}
        return [text for text, _ in self._suspects.values()]

    def _note(self, topic: str, event, consequence: str, still_there: Callable[[], bool]) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        text = f"QoS mismatch on {topic} ({policy}): {consequence}"
        self._suspects[topic] = (text, still_there)
        self._on_mismatch(text)

    def _any_incompatible_subscriber(self, topic: str, ours: QoSProfile) -> bool:
        return any(
            _refused(ours, _comparable(subscriber.qos_profile))
            for subscriber in self._node.get_subscriptions_info_by_topic(topic)
        )

    def _any_incompatible_publisher(self, topic: str, ours: QoSProfile) -> bool:
        return any(
            _refused(_comparable(publisher.qos_profile), ours)
            for publisher in self._node.get_publishers_info_by_topic(topic)
        )


def _refused(offered: QoSProfile, requested: QoSProfile) -> bool:
    return qos_check_compatible(offered, requested)[0] == QoSCompatibility.ERROR


def _comparable(discovered: QoSProfile) -> QoSProfile:
    """A discovered endpoint's profile with infinite times left out.

    Discovery says infinite where a node's own profile says nothing; rclpy's check takes the two for
    different, and then every endpoint is incompatible with every other.
    """

    def limited(duration: Duration) -> Duration:
        return duration if duration.nanoseconds < 2**62 else Duration()

    return QoSProfile(
        depth=1,
        reliability=discovered.reliability,
        durability=discovered.durability,
        liveliness=discovered.liveliness,
        deadline=limited(discovered.deadline),
        liveliness_lease_duration=limited(discovered.liveliness_lease_duration),
    )
