"""The process that hostile input is fed to: ``python -m dsad_tools.prove.victim KIND SEED FIRST END FOLDER [WATCHER]``.

Case ``n`` of a kind and seed is always the same input. ``FOLDER/at`` holds the number at hand, so that whoever watches
knows which input crashed or hung the process; ``FOLDER/result.json`` says every few seconds what came of the others.
"""

from __future__ import annotations

import mmap
import os
import resource
import sys
import time
from pathlib import Path
from random import Random

from dsad_core.errors import DsadError, unexpected
from dsad_tools.prove import result as notes
from dsad_tools.prove.inputs import KINDS, Feed
from dsad_tools.prove.result import Result


def main(kind: str, seed: int, first: int, end: int, folder: Path, watcher: int | None = None) -> None:
    """Feed the cases ``first`` to ``end`` - 1. Ends early where the process that watches, its parent, is gone."""
    feed = KINDS[kind](folder)
    result, warm, noted = Result(first), 0, time.monotonic()
    place = folder / "at"
    if not place.exists():  # nobody watches
        folder.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes(8))
    with open(place, "r+b") as stream:
        at = mmap.mmap(stream.fileno(), 8)
    for case in range(first, end):
        at[:] = case.to_bytes(8, "little")
        before = result.failures
        one(feed, kind, seed, case, result)
        result.next = case + 1
        if case == first + (end - first) // 10:
            warm = _peak()
        if result.failures > before or time.monotonic() - noted > notes.NOTE_SECONDS:
            if watcher not in (None, os.getppid()):
                return
            result.grown = _peak() - warm if warm else 0
            result.write(folder)
            noted = time.monotonic()
    result.grown = _peak() - warm
    result.write(folder)


def one(feed: Feed, kind: str, seed: int, case: int, result: Result) -> None:
    """Feed one case and count what came of it."""
    begin = time.process_time()
    try:
        feed(Random(f"{kind} {seed} {case}"))
    except DsadError as error:
        result.refused += 1
        if "\n" in str(error) or not str(error):
            result.fail(case, f"a refusal of {len(str(error).splitlines())} lines")
    except Exception as error:
        result.fail(case, f"{type(error).__name__}: {unexpected(error)}")
    spent = time.process_time() - begin
    if spent > result.slowest:
        result.slowest, result.slowest_case = spent, case


def _peak() -> int:
    """Largest resident memory so far, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    name, seed, first, end, folder, *watcher = sys.argv[1:]
    main(name, int(seed), int(first), int(end), Path(folder), int(watcher[0]) if watcher else None)
