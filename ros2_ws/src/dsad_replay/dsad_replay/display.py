"""What a run shows on the console: its nodes' output, and one line of figures below it."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

#: Seconds between two lines of figures where a line cannot be rewritten in place.
PLAIN_SECONDS = 5.0


class Display:
    """A context manager: in a terminal the figures stay in the last line while it is open."""

    def __init__(self, console: Console):
        self._console = console
        live = Live(console=console, auto_refresh=False, transient=True)
        self._live = live if console.is_terminal else None
        self._next_plain = time.monotonic() + PLAIN_SECONDS
        self._shown = ""

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exc_info) -> None:
        if self._live:
            self._live.stop()

    def figures(self, line: str) -> None:
        """Show the newest figures."""
        if self._live:
            if line != self._shown:
                self._shown = line
                self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_SECONDS
            self.print_line(line)

    def log(self, node: str, line: str) -> None:
        """Show a line that a node wrote."""
        self._console.print(f"[dim]\\[{node}][/] {escape(line)}", soft_wrap=True, highlight=False)

    def print_line(self, line: str) -> None:
        """Show a line of the run itself."""
        self._console.print(Text(line), soft_wrap=True)
