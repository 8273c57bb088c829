"""Bags of the seconds around each new track, from a ring of what came before."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path

from dsad_core.errors import BagError
from dsad_metrics.bag_thread import BagThread
from dsad_msgs.msg import Track

#: States of a track that is sure to be a target.
TOLD = (Track.CONFIRMED, Track.COASTING)


class EventBags:
    """Takes the place of a `BagThread` where only the seconds around tracks are wanted.

    The newest messages are kept in memory. When a track comes up, they go to a new bag, and so does what follows until
    ``after`` seconds later; a track that comes up meanwhile prolongs the bag. A track begins one bag in its life, so
    that a lamp that stands in the scene for hours does not fill the disk.

    Args:
        folder: gets a bag for each event, named by its time (UTC) and the track's id; made with the first.
        open_bag: makes the bag of a path.
        event: ``confirmed``: a track is confirmed; ``moving``: a confirmed one moves.
        before, after: seconds kept around it.
        limit_bytes: of the messages kept; beyond it the oldest go earlier.
        latched: topics whose last message begins each bag, however old it is.

    Attributes:
        types: type name by topic, filled in before a topic's first message.
        failure: why a bag could not be made or ended early; "" if none did.
    """

    def __init__(
        self,
        folder: Path,
        open_bag: Callable[[Path], BagThread],
        event: str,
        before: float,
        after: float,
        limit_bytes: int,
        latched: Iterable[str] = (),
    ):
        self.types: dict[str, str] = {}
        self.failure = ""
        self._folder, self._open_bag, self._event = folder, open_bag, event
        self._before_ns, self._after_ns = round(before * 1e9), round(after * 1e9)
        self._limit = limit_bytes
        self._latched = frozenset(latched)
        self._last: dict[str, bytes] = {}
        self._ring: deque[tuple[str, int, bytes]] = deque()
        self._ring_bytes = 0
        self._known: set[int] = set()
        self._bags: list[BagThread] = []
        self._closing: list[threading.Thread] = []
        self._open: BagThread | None = None
        self._until = 0

    written = property(lambda self: sum(bag.written for bag in self._bags))
    on_disk = property(lambda self: sum(bag.on_disk for bag in self._bags))
    dropped = property(lambda self: sum(bag.dropped for bag in self._bags))
    queued_bytes = property(lambda self: self._ring_bytes + sum(bag.queued_bytes for bag in self._bags))

    @property
    def outcome(self) -> str:
        """What became of the bags, in one line."""
        made = sum(bag.outcome.startswith("wrote") for bag in self._bags)
        return f"wrote {made} bags of tracks in {self._folder}: {self.written} messages"

    def put(self, topic: str, time_ns: int, data: bytes) -> None:
        """Take one serialised message of a topic in ``types``, received at ``time_ns``."""
        if self._open is not None and time_ns > self._until:
            self._finish()
        if topic in self._latched:
            self._last[topic] = data
        elif self._open is None:
            self._keep(topic, time_ns, data)
        if self._open is not None:
            self._open.put(topic, time_ns, data)
            self.failure = self.failure or self._open.failure

    def take_tracks(self, tracks: Iterable[Track], time_ns: int) -> None:
        """Look for new tracks in a TrackArray that was received at ``time_ns``, after it was put."""
        alive = [track for track in tracks if track.state in TOLD]
        # An id is forgotten with its track: a detector that starts again counts from 1.
        self._known &= {track.id for track in alive}
        told = {track.id for track in alive if self._event == "confirmed" or track.motion == Track.MOVING}
        fresh = sorted(told - self._known)
        self._known |= told
        if not fresh:
            return
        self._until = time_ns + self._after_ns
        if self._open is None:
            self._begin(fresh[0], time_ns)

    def close(self) -> None:
        """Write what waits and finish the bags."""
        if self._open is not None:
            self._finish()
        for thread in self._closing:
            thread.join()

    def _keep(self, topic: str, time_ns: int, data: bytes) -> None:
        self._ring.append((topic, time_ns, data))
        self._ring_bytes += len(data)
        while self._ring_bytes > self._limit or time_ns - self._ring[0][1] > self._before_ns:
            self._ring_bytes -= len(self._ring.popleft()[2])

    def _begin(self, number: int, time_ns: int) -> None:
        moment = datetime.fromtimestamp(time_ns / 1e9, timezone.utc)
        try:
            bag = self._open_bag(self._folder / f"{moment:%Y%m%dT%H%M%S}-track{number}")
        except BagError as error:
            self.failure = str(error)
            return
        bag.types = self.types
        self._bags.append(bag)
        self._open = bag
        start = self._ring[0][1] if self._ring else time_ns
        for topic, data in self._last.items():
            bag.put(topic, start, data)
        for message in self._ring:
            bag.put(*message)
        self._ring.clear()
        self._ring_bytes = 0

    def _finish(self) -> None:
        # Beside the executor: the last messages may still wait for the disk.
        thread = threading.Thread(target=self._open.close, name="bag end")
        thread.start()
        self._closing = [each for each in self._closing if each.is_alive()] + [thread]
        self._open = None
