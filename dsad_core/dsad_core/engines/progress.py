"""Where a long build stands, and whether somebody wants it to end.

A build lies deep under the call that asked for it. Whoever asked listens with ``listen``; the steps of the
build report with ``tell`` and look with ``check``, in the thread that called them or one it hands itself to.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from dsad_core.errors import EngineError

_log = logging.getLogger(__name__)


class Cancelled(EngineError):
    """A build or load that was told to end."""


class Progress:
    """One long task.

    Attributes:
        cancelled: set it, from any thread, to end the task at its next step.

    Args:
        tell: called with one line at each step, in the thread of the task.
    """

    def __init__(self, report: Callable[[str], None]):
        self.report = report
        self.cancelled = threading.Event()


_current: ContextVar[Progress] = ContextVar("progress", default=Progress(_log.info))  # noqa: B039 - one for all, on purpose


def current() -> Progress:
    """What the running task reports to; where nobody listens, the log."""
    return _current.get()


@contextlib.contextmanager
def listen(progress: Progress) -> Iterator[None]:
    """Let everything that this thread does inside report to ``progress``."""
    token = _current.set(progress)
    try:
        yield
    finally:
        _current.reset(token)


def report(text: str) -> None:
    """Report a step in one line.

    Raises:
        Cancelled: the task is to end.
    """
    check()
    current().report(text)


def check() -> None:
    """Raises ``Cancelled`` if the task is to end."""
    if current().cancelled.is_set():
        raise Cancelled("ended before the engine was ready")
