"""Work in a process of its own, so that its libraries' threads and memory are not in the one that times others."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

import numpy as np

from dsad_core.errors import EngineError
from dsad_tools.bench.turn import Contender, take_turn


def run_apart(function: Callable, *arguments: Any) -> Any:
    """What the function returns, computed in a process that ends with it; all of it must be picklable.

    Raises:
        EngineError: that process died.
    """
    with _process() as process:
        return _ask(process, function, *arguments)


class Apart:
    """A contender in a process of its own, which times its turns itself; see ``turn.Contender``.

    Args:
        open_contender: called there with ``arguments``; a function of a module, or a ``partial`` of one.

    Raises:
        DsadError: what ``open_contender`` raises.
        EngineError: the process died.
    """

    def __init__(self, open_contender: Callable[..., Contender], *arguments: Any):
        self._process = _process()
        try:
            self.manifest, self.description = _ask(self._process, _open, open_contender, *arguments)
        except BaseException:
            self._process.shutdown()
            raise

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        return _ask(self._process, _infer, tensor)

    def take_turn(self, tensor: np.ndarray, settle_ns: int) -> int:
        """See ``turn.take_turn``."""
        return _ask(self._process, _take_turn, tensor, settle_ns)

    def close(self) -> None:
        with suppress(EngineError):
            _ask(self._process, _close)
        self._process.shutdown()


def _process() -> ProcessPoolExecutor:
    # Not a fork: that would inherit libraries and their locks.
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some libraries talk amid the tables


def _ask(process: ProcessPoolExecutor, function: Callable, *arguments: Any) -> Any:
    try:
        return process.submit(function, *arguments).result()
    except BrokenExecutor as error:
        raise EngineError("its process died") from error


#: Of the process that holds one.
_contender: Contender | None = None


def _open(open_contender: Callable[..., Contender], *arguments: Any) -> tuple:
    global _contender
    _contender = open_contender(*arguments)
    return _contender.manifest, _contender.description


def _infer(tensor: np.ndarray) -> np.ndarray:
    return _opened().infer(tensor)


def _take_turn(tensor: np.ndarray, settle_ns: int) -> int:
    return take_turn(_opened(), tensor, settle_ns)


def _close() -> None:
    _opened().close()


def _opened() -> Contender:
    if _contender is None:
        raise EngineError("nothing is open in this process")
    return _contender
