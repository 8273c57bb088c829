"""Waiting for subscribers: what is published before they are matched is lost to them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dsad_common.node_names import resolve_node

#: A node's subscriptions are found one after the other, and each is one-sided for some milliseconds: we match
#: it before it matches us, and what is sent in between is lost to it. So nothing new must have been found for
#: this long, seconds.
QUIET_SECONDS = 0.3


class SubscriberWait:
    """Looks for nodes of the own namespace that must subscribe before something is published.

    Args:
        node: the publishing node.
        publishers: of that node.
        names: nodes that must subscribe; with a / at the front from elsewhere than the own namespace.
        everywhere: to each of the publishers; else one is enough.
        patience: seconds after which `ready` waits no longer.
    """

    def __init__(
        self,
        node,
        publishers: Sequence,
        names: Sequence[str],
        everywhere: bool = False,
        patience: float = 30.0,
    ):
        self._node = node
        self._publishers = publishers
        self._names = [name for name in names if name]
        self._everywhere = everywhere
        self._patience = patience
        self._deadline = time.monotonic() + patience
        self._found: list | None = None
        self._since = time.monotonic()

    def missing(self) -> list[str]:
        """Names of the nodes that do not subscribe yet."""
        if not self._names:
            return []
        found = [nodes for nodes, _, matched in self._look() if matched or not self._everywhere]
        if not self._everywhere:
            heard = set().union(*found)
        else:
            heard = set.intersection(*found) if len(found) == len(self._publishers) else set()
        namespace = self._node.get_namespace()
        return [name for name in self._names if resolve_node(name, namespace) not in heard]

    def settled(self) -> bool:
        """Whether the subscribers have stayed the same for a while; to be asked again and again."""
        found, now = self._look(), time.monotonic()
        if found != self._found:
            self._found, self._since = found, now
        return now - self._since >= QUIET_SECONDS

    def ready(self) -> bool:
        """Whether no node is missing; also once patience is at its end, with a warning."""
        missing = self.missing()
        if not missing:
            return True
        if time.monotonic() < self._deadline:
            return False
        self._node.get_logger().warning(
            f"{', '.join(missing)} does not listen after {self._patience:g} s: begins without"
        )
        return True

    def _look(self) -> list[tuple[set[tuple[str, str]], int, bool]]:
        """Of each publisher: the nodes that subscribe, how many subscriptions are matched, and whether all are."""
        found = []
        for publisher in self._publishers:
            endpoints = self._node.get_subscriptions_info_by_topic(publisher.topic_name)
            # What the graph knows of is not always matched yet, and only that is sent to.
            matched = publisher.get_subscription_count()
            found.append((node_names(endpoints), matched, matched >= len(endpoints)))
        return found


def node_names(endpoints) -> set[tuple[str, str]]:
    """Namespace and name of the nodes that some endpoints belong to."""
    return {(endpoint.node_namespace, endpoint.node_name) for endpoint in endpoints}
