"""What an engine keeps open for the frame sizes it has met."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Session = TypeVar("Session")
Size = tuple[int, int]

#: A camera and a second one, or a frame of an odd size now and then, must not reopen anything.
KEPT = 2


class Sessions(Generic[Session]):
    """Keeps the sessions of the sizes (height, width) used last.

    Args:
        open_session: makes the session of a size.
        close_session: frees one.
        kept: sessions open at a time.
    """

    def __init__(
        self,
        open_session: Callable[[Size], Session],
        close_session: Callable[[Session], None] = lambda session: None,
        kept: int = KEPT,
    ):
        self._open, self._close, self._kept = open_session, close_session, kept
        self._sessions: OrderedDict[Size, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, size: Size) -> Session:
        """The session of this size, opened where there is none; an older one may be closed for it."""
        session = self._sessions.get(size)
        if session is None:
            session = self._open(size)
            self._sessions[size] = session
            if len(self._sessions) > self._kept:
                self._close(self._sessions.popitem(last=False)[1])
        else:
            self._sessions.move_to_end(size)
        return session

    def close(self) -> None:
        """Free all of them."""
        while self._sessions:
            self._close(self._sessions.popitem()[1])
