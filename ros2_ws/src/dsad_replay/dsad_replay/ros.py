"""rclpy in a command that keeps Ctrl-C for itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions


@contextlib.contextmanager
def ros() -> Iterator[SingleThreadedExecutor]:
    """rclpy while the context is open. Signals stay the command's: it stops its nodes first."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    try:
        yield executor
    finally:
        executor.shutdown()
        rclpy.try_shutdown()
