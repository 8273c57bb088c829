"""The one slot between the subscription and the inference thread. Newest wins."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds at most one item; a newer one takes the place of the older.

    Any number of threads may put; one takes.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Leave an item, never None. True if it overwrote one, or the mailbox is closed: one is lost."""
        with self._changed:
            lost = self._closed or self._item is not None
            if not self._closed:
                self._item = item
                self._changed.notify()
            return lost

    def take(self) -> Item | None:
        """Wait for the newest item and empty the slot; None once the mailbox is closed."""
        with self._changed:
            while self._item is None and not self._closed:
                self._changed.wait()
            item, self._item = self._item, None
            return item

    def close(self) -> bool:
        """Wake the taker for good. True if an item was waiting: it is lost."""
        with self._changed:
            lost = self._item is not None
            self._item = None
            self._closed = True
            self._changed.notify_all()
            return lost
