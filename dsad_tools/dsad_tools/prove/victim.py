"""The process that hostile input is fed to: ``python -m dsad_tools.prove.victim KIND SEED FIRST END FOLDER``.

Case ``n`` of a kind and seed is always the same input. ``FOLDER/at`` holds the number at hand, so that whoever watches
knows which input crashed or hung the process; ``FOLDER/result.json`` says at the end what came of the others.
"""

from __future__ import annotations

import json
import mmap
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from dsad_core.errors import DsadError, unexpected
from dsad_tools.prove.inputs import KINDS

#: Failures that are listed; all are counted.
LISTED = 5


def main(kind: str, seed: int, first: int, end: int, folder: Path) -> None:
    """Feed the cases ``first`` to ``end`` - 1."""
    feed = KINDS[kind](folder)
    refused, failures, listed, slowest = 0, 0, [], (0.0, first)
    with open(folder / "at", "r+b") as stream:
        at = mmap.mmap(stream.fileno(), 8)
    warm = 0
    for case in range(first, end):
        at[:] = case.to_bytes(8, "little")
        begin = time.process_time()
        try:
            feed(Random(f"{kind} {seed} {case}"))
        except DsadError as error:
            refused += 1
            if "\n" in str(error) or not str(error):
                failures += 1
                listed.append(f"case {case}: a refusal of {len(str(error).splitlines())} lines")
        except Exception as error:
            failures += 1
            listed.append(f"case {case}: {type(error).__name__}: {unexpected(error)}")
        slowest = max(slowest, (time.process_time() - begin, case))
        if case == first + (end - first) // 10:
            warm = _peak()
    result = {"refused": refused, "failures": failures, "listed": listed[:LISTED]}
    result |= {"slowest": slowest[0], "slowest_case": slowest[1], "grown": _peak() - warm}
    (folder / "result.json").write_text(json.dumps(result))


def _peak() -> int:
    """Largest resident memory so far, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


Feed = Callable[[Random], None]

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
