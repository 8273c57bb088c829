"""The end of a node that counts: nothing that has arrived is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from dsad_common.rclpy_internals import take

_POLL = 0.01
#: Nobody publishes any more: what was sent before is here within this time, s.
_LAST_SECONDS = 0.1


def drain(
    subscriptions: Iterable,
    patience: float,
    quiet: float,
    publishing: Callable[[], bool] = lambda: True,
) -> None:
    """Take what the subscriptions still hold, and what is on its way, and hand it to their callbacks.

    For when no executor spins any more: the middleware delivers until the subscriptions are destroyed.

    Args:
        subscriptions: of rclpy.
        patience: seconds in all.
        quiet: end when nothing has come for so many seconds.
        publishing: whether more may be sent; where not, a shorter silence is enough.
    """
    subscriptions = list(subscriptions)
    last = time.monotonic()
    end = last + patience
    while (now := time.monotonic()) < end and now - last < (
        quiet if publishing() else min(quiet, _LAST_SECONDS)
    ):
        # A sum, not any(): every subscription is emptied, not only the first that holds something.
        if sum(_take_all(subscription) for subscription in subscriptions):
            last = now
        else:
            time.sleep(_POLL)


def _take_all(subscription) -> int:
    taken = 0
    while (item := take(subscription)) is not None:
        subscription.callback(item[0])
        taken += 1
    return taken


def have_publishers(node, subscriptions: Iterable) -> bool:
    """Whether any node publishes to one of some subscriptions."""
    return any(node.count_publishers(subscription.topic_name) for subscription in subscriptions)
