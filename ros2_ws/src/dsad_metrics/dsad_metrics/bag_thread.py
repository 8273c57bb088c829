"""Writing to disk beside the executor, so that a slow disk never delays a message."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from dsad_core.errors import BagError, one_line
from dsad_tools.bags.recording import Recording

#: What was written is on the disk so many seconds later; with the way there, within a second of its arrival.
SYNC_SECONDS = 0.5


class BagThread:
    """Writes messages in the order they are put, from its own thread.

    Args:
        open_writer: opens the bag; called on the thread.
        limit_bytes: messages that may wait; beyond it new ones are dropped and counted.

    Raises:
        BagError: the bag cannot be made.

    Attributes:
        types: type name by topic, filled in before a topic's first message.
        written, dropped: messages.
        on_disk: messages that survive whatever happens to this process or machine.
        queued_bytes: waiting now.
        failure: why writing ended early, in one line; "" if it did not.
        outcome: what became of the bag, in one line; "" until it is closed.
    """

    def __init__(self, open_writer: Callable[[], Recording], limit_bytes: int):
        self.types: dict[str, str] = {}
        self.written = 0
        self.on_disk = 0
        self.dropped = 0
        self.queued_bytes = 0
        self.failure = ""
        self.outcome = ""
        self._limit = limit_bytes
        self._queue: deque[tuple[str, int, bytes]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._opened = threading.Event()
        self._refusal: BagError | None = None
        self._thread = threading.Thread(target=self._run, args=(open_writer,), name="bag", daemon=True)
        self._thread.start()
        self._opened.wait()
        if self._refusal:
            raise self._refusal

    def put(self, topic: str, time_ns: int, data: bytes) -> None:
        """Queue one serialised message of a topic in ``types``, received at ``time_ns``."""
        with self._wake:
            if self.failure or self.queued_bytes + len(data) > self._limit:
                self.dropped += 1
                return
            self._queue.append((topic, time_ns, data))
            self.queued_bytes += len(data)
            self._wake.notify()

    def close(self) -> None:
        """Write what waits and finish the bag; ``outcome`` says what became of it.

        A bag in which nothing was written is not made. One whose disk failed holds what came before.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self, open_writer: Callable[[], Recording]) -> None:
        try:
            writer = open_writer()
        except BagError as error:
            self._refusal = error
            return
        finally:
            self._opened.set()
        try:
            self._write_all(writer)
        except Exception as error:
            # Whatever storage or disk throws, the node must say so and let go.
            self.failure = f"{writer.path}: recording ended: {one_line(error)}"
        self.outcome = self._finish(writer)

    def _write_all(self, writer: Recording) -> None:
        """Until the end; every `SYNC_SECONDS` what was written is put on the disk."""
        sync_at: float | None = None
        while (message := self._next(sync_at)) or self._queue or not self._closing:
            if message:
                topic, time_ns, data = message
                writer.add_topic(topic, self.types[topic])
                writer.write(topic, time_ns, data)
                self.written += 1
                sync_at = sync_at or time.monotonic() + SYNC_SECONDS
            if sync_at and time.monotonic() >= sync_at:
                writer.sync()
                self.on_disk, sync_at = self.written, None

    def _next(self, until: float | None) -> tuple[str, int, bytes] | None:
        """The next message; None when that time has come, or when no more will come."""
        with self._wake:
            patience = None if until is None else max(0.0, until - time.monotonic())
            self._wake.wait_for(lambda: self._queue or self._closing, patience)
            if not self._queue:
                return None
            message = self._queue.popleft()
            self.queued_bytes -= len(message[2])
            return message

    def _finish(self, writer: Recording) -> str:
        if not self.written:
            writer.discard()
            return f"no bag {writer.path}: {self.failure or 'nothing was received'}"
        try:
            writer.close()
        except Exception as error:
            self.failure = self.failure or f"{writer.path}: not finished: {one_line(error)}"
            return f"{writer.path}: cut off: {one_line(error)}; what was on the disk before can be read"
        return f"wrote {writer.path}: {self.written} messages"
