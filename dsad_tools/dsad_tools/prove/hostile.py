"""Hostile input: nothing crashes, hangs, prints a traceback or takes memory without bound."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from dsad_tools.prove.proof import Check, Setting
from dsad_tools.prove.result import Result, read_result

#: Inputs of each kind in the long form.
COUNTS = {
    "Image messages": 1_000_000,
    "bags, MCAP": 50_000,
    "bags, sqlite3": 50_000,
    "CompressedImage messages": 200_000,
    "CameraInfo messages": 100_000,
    "manifests": 20_000,
    "ONNX models": 20_000,
    "image files": 100_000,
    "videos": 20_000,
    "label tables": 20_000,
    "sizes in parameters": 1_000_000,
}
#: Inputs of each kind in the short form, however small the share.
LEAST = 20
#: Processor seconds that an input may take, and wall seconds without any progress.
HANG_SECONDS, STUCK_SECONDS = 1.0, 120.0
#: Faults after which a kind is given up: each costs the start of a process.
MOST_FAULTS = 20
#: What a process may grow beyond its first tenth, bytes: one frame of 8192x8192 float32.
GROWTH = 256 << 20


def prove(setting: Setting) -> Iterator[Check]:
    """One check a kind of input."""
    for number, (kind, long) in enumerate(COUNTS.items()):
        if not setting.done(kind):
            folder = setting.folder / str(number)
            folder.mkdir()
            yield _prove(kind, setting.count(long, LEAST), setting, folder)


@dataclass
class _Row:
    """How far a kind is; fields as `Result` has them, summed over its processes."""

    next: int = 0
    refused: int = 0
    slowest: float = 0.0
    grown: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def after(self, result: Result, seconds: float) -> _Row:
        """This row, and what one more process has done."""
        faults = list(self.faults)
        if result.slowest > HANG_SECONDS:
            faults.append(f"case {result.slowest_case}: {result.slowest:.1f} s")
        if result.failures:
            faults.append(f"{result.failures} unexpected: {'; '.join(result.listed)}")
        if result.grown > GROWTH:
            faults.append(f"grew by {result.grown >> 20} MiB")
        return _Row(
            result.next,
            self.refused + result.refused,
            max(self.slowest, result.slowest),
            max(self.grown, result.grown),
            self.seconds + seconds,
            faults,
        )


def _prove(kind: str, count: int, setting: Setting, folder: Path) -> Check:
    row = _Row(**setting.part(kind))
    earlier = row.seconds
    while row.next < count and len(row.faults) < MOST_FAULTS:
        row = _feed(kind, count, row, setting, folder / str(row.next))
    seen = (
        f"{row.refused:,} refused in one line, slowest {1e3 * row.slowest:.0f} ms, grew {row.grown >> 20} MiB"
    )
    return Check(
        kind,
        row.next,
        "inputs",
        not row.faults,
        "; ".join(row.faults) if row.faults else seen,
        seconds=earlier,
    )


def _feed(kind: str, end: int, before: _Row, setting: Setting, folder: Path) -> _Row:
    """Feed the cases from ``before.next`` on to a process: the row after ``end``, or after the case that ended it."""
    folder.mkdir()
    at, log, first = folder / "at", folder / "log", before.next
    at.write_bytes(first.to_bytes(8, "little"))
    began = time.monotonic()
    with open(log, "wb") as stream:
        victim = subprocess.Popen(
            [
                sys.executable, "-m", "dsad_tools.prove.victim",
                kind, str(setting.seed), str(first), str(end), str(folder), str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C is for the run, which keeps what the victim has done
        )  # fmt: skip
    try:
        row, reason = before, None
        watch = _Watch(victim.pid)
        while reason is None:
            try:
                status = victim.wait(0.2)
                break
            except subprocess.TimeoutExpired:
                reason = watch.hung(int.from_bytes(at.read_bytes(), "little"))
            result = read_result(folder)
            if result is not None and result.next != row.next:
                row = before.after(result, time.monotonic() - began)
                setting.keep(kind, asdict(row))
                setting.tell(f"{kind} {row.next:,} of {end:,}")
    finally:
        victim.kill()
        victim.wait()
    result = read_result(folder)
    row = before if result is None else before.after(result, time.monotonic() - began)
    if reason is None:
        said = log.read_text(errors="replace")
        if status == 0 and "Traceback" not in said:
            return row
        reason = f"ended with status {status}: {' '.join(said.split())[-200:]}"
    case = int.from_bytes(at.read_bytes(), "little")
    return replace(row, next=case + 1, faults=[*row.faults, f"case {case}: {reason}"])


class _Watch:
    """Sees a process that hangs in one case."""

    def __init__(self, pid: int):
        self._process = psutil.Process(pid)
        self._case, self._since, self._used = -1, time.monotonic(), 0.0

    def hung(self, case: int) -> str | None:
        """For how long the process hangs in this case; None while it does not."""
        try:
            used = sum(self._process.cpu_times()[:2])
        except psutil.Error:
            return None  # it ended this moment
        now = time.monotonic()
        if case != self._case:
            self._case, self._since, self._used = case, now, used
        # Ten times the limit: the start of the process counts, too. The case's own time is judged in the process.
        elif used - self._used > 10 * HANG_SECONDS or now - self._since > STUCK_SECONDS:
            return f"hung for {used - self._used:.0f} s"
        return None
