"""Hostile input: nothing crashes, hangs, prints a traceback or takes memory without bound."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from dsad_tools.prove.proof import Check, Setting

#: Inputs of each kind in the long form.
COUNTS = {
    "Image messages": 1_000_000,
    "CompressedImage messages": 200_000,
    "CameraInfo messages": 100_000,
    "bags, MCAP": 50_000,
    "bags, sqlite3": 50_000,
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
#: What a process may grow beyond its first tenth, bytes: one frame of 8192x8192 float32.
GROWTH = 256 << 20


def prove(setting: Setting) -> Iterator[Check]:
    """One check a kind of input."""
    for number, (kind, long) in enumerate(COUNTS.items()):
        folder = setting.folder / str(number)
        folder.mkdir()
        yield _prove(kind, setting.count(long, LEAST), setting.seed, folder)


def _prove(kind: str, count: int, seed: int, folder: Path) -> Check:
    faults: list[str] = []
    refused = grown = 0
    slowest, begin = 0.0, 0
    while begin < count:
        ended, reason = _feed(kind, seed, begin, count, folder / str(begin))
        if reason:
            faults.append(f"case {ended}: {reason}")
            begin = ended + 1
            continue
        result = json.loads((folder / str(begin) / "result.json").read_text())
        refused += result["refused"]
        grown = max(grown, result["grown"])
        slowest = max(slowest, result["slowest"])
        if result["slowest"] > HANG_SECONDS:
            faults.append(f"case {result['slowest_case']}: {result['slowest']:.1f} s")
        if result["failures"]:
            faults.append(f"{result['failures']} unexpected: {'; '.join(result['listed'])}")
        begin = count
    if grown > GROWTH:
        faults.append(f"grew by {grown >> 20} MiB")
    seen = f"{refused} refused in one line, slowest {1e3 * slowest:.0f} ms, grew {grown >> 20} MiB"
    return Check(kind, count, "inputs", not faults, "; ".join(faults) if faults else seen)


def _feed(kind: str, seed: int, first: int, end: int, folder: Path) -> tuple[int, str]:
    """Feed the cases from ``first`` on: (``end``, '') or the case that ended the process, and how."""
    folder.mkdir()
    at = folder / "at"
    at.write_bytes(first.to_bytes(8, "little"))
    log = folder / "log"
    with open(log, "wb") as stream:
        victim = subprocess.Popen(
            [sys.executable, "-m", "dsad_tools.prove.victim", kind, str(seed), str(first), str(end), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    seen, since, spent = -1, time.monotonic(), 0.0
    watched = psutil.Process(victim.pid)
    while True:
        try:
            status = victim.wait(0.2)
            break
        except subprocess.TimeoutExpired:
            pass
        try:
            used = sum(watched.cpu_times()[:2])
        except psutil.Error:
            continue  # it ended this moment
        case = int.from_bytes(at.read_bytes(), "little")
        if case != seen:
            seen, since, spent = case, time.monotonic(), used
        # Ten times the limit: the start of the process counts, too. The case's own time is judged in the process.
        elif used - spent > 10 * HANG_SECONDS or time.monotonic() - since > STUCK_SECONDS:
            victim.kill()
            victim.wait()
            return case, f"hung for {used - spent:.0f} s"
    said = log.read_text(errors="replace")
    if status == 0 and "Traceback" not in said:
        return end, ""
    case = int.from_bytes(at.read_bytes(), "little")
    return case, f"ended with status {status}: {' '.join(said.split())[-200:]}"
