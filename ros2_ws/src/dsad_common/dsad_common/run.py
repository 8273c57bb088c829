"""Start, spin and stop of a node, the same for every executable."""

from __future__ import annotations

import sys
from collections.abc import Callable

import rclpy
from dsad_core.errors import DsadError
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
        done = getattr(node, "done", None)
        if done is None:
            executor.spin()
        else:
            executor.spin_until_future_complete(done)
            if done.done():
                status = int(done.result() or 0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (BadParameter, DsadError) as error:
        get_logger(make_node.__name__.lower()).fatal(str(error))
        status = 2
    finally:
        if node is not None:
            if hasattr(node, "close"):
                node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return status


def main(make_node: Callable[[], object]) -> None:
    """Console-script body: ``run_node`` and exit with its status."""
    sys.exit(run_node(make_node))
