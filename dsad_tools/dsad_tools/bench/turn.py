"""One turn of one contender."""

import time
from typing import Protocol

import numpy as np

from dsad_core.engines.manifest import Manifest


class Contender(Protocol):
    """What is timed: the part of an engine that a bench uses, see ``dsad_core.engines.protocol.Engine``."""

    manifest: Manifest
    description: str

    def infer(self, tensor: np.ndarray) -> np.ndarray: ...

    def close(self) -> None: ...


def take_turn(contender: Contender, tensor: np.ndarray, settle_ns: int) -> int:
    """ns of the first call that begins ``settle_ns`` after the turn did.

    Until then the threads of the runtime before may spin on, and this one's memory comes into the caches.
    """
    begin = start = time.perf_counter_ns()
    settled = False
    while not settled:
        settled = start - begin >= settle_ns
        contender.infer(tensor)
        end = time.perf_counter_ns()
        duration, start = end - start, end
    return duration
