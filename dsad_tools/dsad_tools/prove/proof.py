"""What a proof is: a function that yields checks, each with what was done, how often, and what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dsad_core.errors import unexpected

if TYPE_CHECKING:
    from dsad_tools.prove.journal import Journal


@dataclass(frozen=True)
class Check:
    """One line of a proof.

    Attributes:
        name: what was done.
        count: how often; ``unit`` says of what.
        passed: whether the promise held; None where it could not be tried, ``seen`` says why.
        seen: the figure, counter or message that was left.
        proof: filled in by `run`.
        seconds: those of earlier runs that were stopped; `run` adds its own.
    """

    name: str
    count: int
    unit: str
    passed: bool | None
    seen: str
    proof: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        return "not run" if self.passed is None else "yes" if self.passed else "NO"


@dataclass(frozen=True)
class Setting:
    """What a proof runs with.

    Attributes:
        folder: scratch of its own, removed afterwards.
        engine: name or folder of the engine.
        share: of the long form's counts, above 0; 1 is the long form.
        seed: of everything that is random.
        proof: its name, by which the journal knows it.
        journal: what a run that was stopped has done; None where nobody goes on with this one.
        tell: takes a line for people on how far the proof is, as often as there is news.
    """

    folder: Path
    engine: str
    share: float
    seed: int = 0
    proof: str = ""
    journal: Journal | None = None
    tell: Callable[[str], None] = lambda line: None

    def count(self, long: int, least: int = 1) -> int:
        """This share of the long form's count."""
        return max(least, round(long * self.share))

    def done(self, name: str) -> bool:
        """True where an earlier run has this row."""
        return self.journal is not None and self.journal.row(self.proof, name) is not None

    def part(self, name: str) -> dict:
        """What an earlier run had of this row when it was stopped, as `keep` was given it."""
        return {} if self.journal is None else self.journal.part(self.proof, name)

    def keep(self, name: str, part: dict) -> None:
        """Note how far a row is."""
        if self.journal is not None:
            self.journal.keep(self.proof, name, part)


def summary(checks: Sequence[Check]) -> str:
    """How many hold, and how many could not be tried."""
    untried = sum(check.passed is None for check in checks)
    held = sum(check.passed is True for check in checks)
    return f"{held} of {len(checks)} hold" + (f", {untried} not run" if untried else "")


Proof = Callable[[Setting], Iterator[Check]]


def run(name: str, proof: Proof, setting: Setting) -> Iterator[Check]:
    """The checks of one proof with the time that each took. What the proof itself raises is a failed check."""
    begin = time.monotonic()
    try:
        for check in proof(setting):
            now = time.monotonic()
            yield replace(check, proof=name, seconds=check.seconds + now - begin)
            begin = now
    except Exception as error:
        reason = unexpected(error)
        yield Check("ran to its end", 0, "", False, reason, proof=name, seconds=time.monotonic() - begin)
