"""What a run of proofs has done so far, kept in its folder: a run that was stopped goes on from there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dsad_core.errors import UsageError
from dsad_core.files import write_atomic
from dsad_tools.prove.proof import Check

JSON_FILE = "proofs.json"


class Journal:
    """Rows that are done, and how far the row at hand is; written at each change where there is a folder.

    Args:
        folder: holds `JSON_FILE`; None keeps everything in memory.
        facts: what must not change between a run and its continuation: share, engine, seed, version.
        about: further facts that are written, such as the machine.

    Attributes:
        checks: rows that are done, in the order of their proofs' first runs.
        finished: names of the proofs that ran to their end.

    Raises:
        UsageError: the folder holds proofs with other facts.
    """

    def __init__(self, folder: Path | None, facts: dict, about: dict | None = None):
        self.path = None if folder is None else folder / JSON_FILE
        self.facts, self._about = facts, about or {}
        self.checks: list[Check] = []
        self.finished: list[str] = []
        self._parts: dict[str, dict] = {}
        if self.path is not None and self.path.exists():
            self._load(self.path)

    @property
    def all_facts(self) -> dict:
        """What is written beside the rows."""
        return self.facts | self._about

    def begin(self, names: Sequence[str]) -> list[str]:
        """Which of these proofs have still to run. Where all are finished, all run anew."""
        missing = [name for name in names if name not in self.finished]
        if missing:
            return missing
        self.finished = [name for name in self.finished if name not in names]
        self.checks = [check for check in self.checks if check.proof not in names]
        return list(names)

    def row(self, proof: str, name: str) -> Check | None:
        """A row that is done."""
        return next((check for check in self.checks if (check.proof, check.name) == (proof, name)), None)

    def add(self, check: Check) -> None:
        """A row is done; it takes the place of one of the same name."""
        self._parts.pop(f"{check.proof}/{check.name}", None)
        before = self.row(check.proof, check.name)
        if before is None:
            self.checks.append(check)
        else:
            self.checks[self.checks.index(before)] = check
        self._write()

    def end(self, proof: str) -> None:
        """A proof ran to its end."""
        self.finished.append(proof)
        self._write()

    def part(self, proof: str, name: str) -> dict:
        """What `keep` was last given of a row that is not done; {} at its beginning."""
        return self._parts.get(f"{proof}/{name}", {})

    def keep(self, proof: str, name: str, part: dict) -> None:
        """How far a row is, as JSON takes it."""
        self._parts[f"{proof}/{name}"] = part
        self._write()

    def _load(self, path: Path) -> None:
        try:
            content = json.loads(path.read_text())
            held = {key: content[key] for key in self.facts}
            checks = [Check(**check) for check in content["checks"]]
            self.finished, self._parts = list(content["finished"]), dict(content["parts"])
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{path}: no proofs that can be continued ({error!r}); name another folder"
            ) from None
        if held != self.facts:
            key = next(key for key in held if held[key] != self.facts[key])
            raise UsageError(
                f"{path}: holds proofs of {key} {held[key]}, not {self.facts[key]}; name another folder"
            )
        self.checks = checks

    def _write(self) -> None:
        if self.path is not None:
            content = self.all_facts | {"finished": self.finished, "parts": self._parts}
            content |= {"checks": [asdict(check) for check in self.checks]}
            write_atomic(self.path, json.dumps(content, indent=1) + "\n")
