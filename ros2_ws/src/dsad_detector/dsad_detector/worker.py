"""A thread for work that takes too long for the executor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.task import Future


class Worker:
    """Runs one task after another, each in a daemon thread of its own.

    Args:
        wake: called when a task is done, so that whoever awaits it is looked at.
    """

    def __init__(self, wake: Callable[[], None]):
        self._wake = wake
        self._threads: list[threading.Thread] = []

    def run(self, task: Callable[[], Any]) -> Future:
        """Start a task; the future gets its result, or the exception that it raised."""
        future = Future()

        def work() -> None:
            try:
                result = task()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            self._wake()

        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=work, name="worker", daemon=True))
        self._threads[-1].start()
        return future

    def join(self, timeout: float) -> bool:
        """Wait for every task; whether all are done after ``timeout`` seconds."""
        for thread in self._threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)
