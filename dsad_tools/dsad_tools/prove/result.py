"""What a process that is fed hostile input has seen so far, kept in its folder for whoever watches it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dsad_core.files import write_atomic

RESULT_FILE = "result.json"
#: Seconds between two notes of what came of the cases.
NOTE_SECONDS = 5.0
#: Failures that are listed; all are counted.
LISTED = 5


@dataclass
class Result:
    """Counts over the cases before ``next``.

    Attributes:
        next: the first case that is not counted yet.
        refused: cases that ended with a `DsadError`.
        failures, listed: cases that ended with anything else, and the first of them in words.
        slowest, slowest_case: processor seconds of the slowest case, and which one it was.
        grown: bytes that the largest resident memory grew by after the first tenth.
    """

    next: int
    refused: int = 0
    failures: int = 0
    slowest: float = 0.0
    slowest_case: int = 0
    grown: int = 0
    listed: list[str] = field(default_factory=list)

    def fail(self, case: int, what: str) -> None:
        """Count a failure."""
        self.failures += 1
        if len(self.listed) < LISTED:
            self.listed.append(f"case {case}: {what}")

    def write(self, folder: Path) -> None:
        """Keep it in ``folder``."""
        write_atomic(folder / RESULT_FILE, json.dumps(asdict(self)))


def read_result(folder: Path) -> Result | None:
    """What was last written; None where nothing was."""
    try:
        return Result(**json.loads((folder / RESULT_FILE).read_text()))
    except FileNotFoundError:
        return None
