"""Start, spin and stop of a node, the same for every executable."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import rclpy
from dsad_core.errors import DsadError
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger

from dsad_common.parameters import BadParameter


def run_node(make_node: Callable[[], object], args: list[str] | None = None) -> int:
    """Build a node, spin it until SIGINT, SIGTERM or its own end, and take it down.

    A node ends by itself when its optional ``done`` (an ``rclpy.task.Future``) is set; its result
    is the exit status. A node with a ``close()`` gets it called before it is destroyed, so that
    files are written while publishers still live.

    Returns:
        The exit status: 0, what ``done`` holds, or 2 when parameters or files are refused, with one
        line in the log.
    """
    rclpy.init(args=args)
    node = None
    status = 0
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        # A signal in the instant before rclpy waits wakes nobody; within a second this does, and
        # the executor sees that it is over. On the steady clock: simulated time may stand still.
        node.create_timer(1.0, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
        done = getattr(node, "done", None)
        if done is None:
            executor.spin()
        else:
            executor.spin_until_future_complete(done)
            if done.done():
                status = int(done.result() or 0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        # The same instant, a little later: rclpy asks a context for a wait set that is just gone.
        if rclpy.ok():
            raise
    except (BadParameter, DsadError) as error:
        get_logger(make_node.__name__.lower()).fatal(str(error))
        status = 2
    finally:
        with _undisturbed():
            if node is not None:
                if hasattr(node, "close"):
                    node.close()
                node.destroy_node()
            rclpy.try_shutdown()
    return status


def main(make_node: Callable[[], object]) -> None:
    """Console-script body: ``run_node`` and exit with its status."""
    status = run_node(make_node)
    # A late Ctrl-C must not turn a clean end into a traceback while the interpreter winds up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Another Ctrl-C must not cut off the files that ``close`` writes.

    It comes often: a terminal sends SIGINT to every process, then so does the launch.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
