"""What goes wrong while the node lives on: logged without flooding, shown in the diagnostics."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class _Warning:
    text: str
    seen: float
    logged: float
    silent: int


class ThrottledWarnings:
    """Reports problems by kind: the first of a kind at once, then at most one line each ``period``.

    Safe to call from the executor's and the inference thread, each with its own kinds.

    Args:
        logger: of the node.
        period: seconds between two lines of one kind; a problem counts as recent for as long.
    """

    def __init__(self, logger, period: float = 5.0):
        self._logger = logger
        self._period = period
        self._latest: dict[str, _Warning] = {}

    def report(self, kind: str, text: str) -> None:
        """Log one line, unless one of this kind was logged within the period."""
        now = time.monotonic()
        known = self._latest.get(kind)
        if known is not None and now - known.logged < self._period:
            self._latest[kind] = _Warning(text, now, known.logged, known.silent + 1)
            return
        more = f" ({known.silent} more like it)" if known is not None and known.silent else ""
        self._latest[kind] = _Warning(text, now, now, 0)
        self._logger.warning(text + more)

    def recent(self) -> dict[str, str]:
        """Kind and newest text of the problems seen within the period."""
        oldest = time.monotonic() - self._period
        return {kind: problem.text for kind, problem in self._latest.copy().items() if problem.seen >= oldest}
