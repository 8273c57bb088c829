"""Reading ahead, so that a slow disk or decoder does not show in the pace."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
#: Seconds that one item may take to be read at the end.
_END_SECONDS = 1.0


class Prefetch(Generic[Item]):
    """Iterates over ``items`` in a thread of its own, at most ``depth`` items ahead of its reader.

    What ``items`` raises is raised to the reader, behind the items before it. ``close`` ends the
    iteration from any thread, also for a reader that waits.
    """

    def __init__(self, items: Iterable[Item], depth: int):
        self._items = iter(items)
        self._depth = depth
        self._ready: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended or self._closed)
            if self._ready and not self._closed:
                self._changed.notify_all()
                return self._ready.popleft()
            if self._error is not None and not self._closed:
                raise self._error
            raise StopIteration

    def close(self) -> bool:
        """Stop reading; what was read ahead is dropped. Whether the thread has ended: a read may hang."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_END_SECONDS)
        return not self._thread.is_alive()

    def _read(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._ready) < self._depth or self._closed)
                    if self._closed:
                        return
                    self._ready.append(item)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            # Generators hold files and devices; they are closed by the thread that runs them.
            if hasattr(self._items, "close"):
                self._items.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()
