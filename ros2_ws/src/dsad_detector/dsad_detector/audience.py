"""Who listens to the answers: those given before the listeners are matched are lost to them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dsad_common.node_names import resolve_node

#: How long to wait for the listeners, seconds; a detector is worth more than its figures.
PATIENCE_SECONDS = 30.0


class Audience:
    """Waits for nodes that are to hear every answer.

    Args:
        node: the detector's node.
        publishers: of the answers.
        names: nodes that must listen to each of them, of the own namespace or by their full names.
    """

    def __init__(self, node, publishers: Sequence, names: Sequence[str]):
        self._node = node
        self._publishers = publishers
        self._names = {resolve_node(name, node.get_namespace()) for name in names if name}
        self._deadline = time.monotonic() + PATIENCE_SECONDS

    def ready(self) -> bool:
        """Whether everybody listens; also once patience is at its end, with a warning."""
        if all(self._heard(publisher) for publisher in self._publishers):
            return True
        if time.monotonic() < self._deadline:
            return False
        names = ", ".join(sorted(name for _, name in self._names))
        self._node.get_logger().warning(
            f"not all of {names} listen after {PATIENCE_SECONDS:g} s: begins without"
        )
        return True

    def _heard(self, publisher) -> bool:
        if not self._names:
            return True
        listeners = self._node.get_subscriptions_info_by_topic(publisher.topic_name)
        known = {(listener.node_namespace, listener.node_name) for listener in listeners}
        # What the graph knows of is not always matched yet, and only that is sent to.
        return self._names <= known and publisher.get_subscription_count() >= len(listeners)
