"""Frames lost before the callback, from the numbers a publisher gives its messages."""

from __future__ import annotations

from collections.abc import Callable, Hashable


class LossCounter:
    """Counts the gaps in publication sequence numbers of one publisher.

    A number says nothing across publishers, and rclpy does not tell which one sent a message. So a
    gap counts only where the topic had one and the same publisher before and after it; where there
    are several, or one was replaced, counting starts afresh.

    Args:
        publishers: identities of the publishers that the topic has now.
    """

    def __init__(self, publishers: Callable[[], list[Hashable]]):
        self._publishers = publishers
        self._only: Hashable | None = None
        self._number: int | None = None

    def lost_before(self, number: int | None) -> int:
        """Frames lost between the previous message and this one.

        Args:
            number: ``publication_sequence_number``; None where the middleware has none.
        """
        previous, self._number = self._number, number
        if number is None:
            return 0
        if self._only is not None and previous is not None and number == previous + 1:
            return 0
        before, self._only = self._only, self._only_publisher()
        if previous is None or before is None or before != self._only:
            return 0
        return max(number - previous - 1, 0)

    def _only_publisher(self) -> Hashable | None:
        publishers = self._publishers()
        return publishers[0] if len(publishers) == 1 else None
