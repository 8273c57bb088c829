"""Start, spin and stop of a node, the same for every executable."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from dsad_common.parameters import BadParameter
from dsad_core.errors import DsadError, one_line


def run_node(make_node: Callable[[], object], args: list[str] | None = None) -> int:
    """Build a node, spin it until SIGINT, SIGTERM or its own end, and take it down.

    A node ends by itself when its optional ``done`` (an ``rclpy.task.Future``) is set; its result
    is the exit status. A node with a ``close()`` gets it called before it is destroyed, so that
    files are written while publishers still live. Further signals do not cut it short: they come
    often, from a terminal to every process and then from the launch again. A node whose ``close()`` leaves
    ``hung`` true has a thread in foreign code that nothing ends: then the process ends at once.

    Returns:
        The exit status: 0, what ``done`` holds, or 2 when parameters or files are refused, or the middleware makes
        no node, with one line in the log.
    """
    # With handlers of its own rclpy ends the context at the signal, and a node could neither
    # publish nor log any more; one that comes just before it waits is even lost.
    name = make_node.__name__.lower()
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RCLError as error:
        get_logger(name).fatal(one_line(error))
        return 2
    node = None
    status = 0
    stopped = threading.Event()
    try:
        with _signals(stopped) as wakes:
            try:
                node = make_node()
                status = _spin(node, stopped, wakes)
            except ExternalShutdownException:
                pass
            except (BadParameter, DsadError) as error:
                get_logger(name).fatal(str(error))
                status = 2
            except RCLError as error:
                if node is not None:
                    raise
                # The middleware makes no node, such as a secure one where it was built without security.
                get_logger(name).fatal(one_line(error))
                status = 2
            finally:
                if node is not None:
                    if hasattr(node, "close"):
                        node.close()
                    if getattr(node, "hung", False):
                        # Taking rclpy down below that thread could crash; its files and logs are complete.
                        sys.stdout.flush()
                        sys.stderr.flush()
                        os._exit(status)
                    node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return status


def main(make_node: Callable[[], object]) -> None:
    """Console-script body: ``run_node`` and exit with its status."""
    status = run_node(make_node)
    # A late Ctrl-C must not turn a clean end into a traceback while the interpreter winds up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


def _spin(node, stopped: threading.Event, wakes: list[Callable[[], None]]) -> int:
    done = getattr(node, "done", None) or Future()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    # Work for the executor, the one thing that makes it return from its wait in every ROS 2.
    wake = node.create_guard_condition(lambda: None).trigger
    done.add_done_callback(lambda _: wake())
    wakes.append(wake)
    try:
        while not stopped.is_set() and not done.done():
            executor.spin_once()
    finally:
        wakes.clear()
        # Here, while the context lives: its destructor would find its handles gone and leave a traceback.
        executor.shutdown(timeout_sec=0.0)
    return int(done.result() or 0) if done.done() else 0


@contextlib.contextmanager
def _signals(stopped: threading.Event) -> Iterator[list[Callable[[], None]]]:
    """Set ``stopped`` at SIGINT and SIGTERM. Yields a list for what then wakes the executor.

    Python runs a handler between two steps of the main thread, and that sleeps in the middleware.
    So a thread waits for the byte that the interpreter writes at a signal.
    """
    wakes: list[Callable[[], None]] = []
    if threading.current_thread() is not threading.main_thread():
        yield wakes
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    numbers = (signal.SIGINT, signal.SIGTERM)

    def watch() -> None:
        while (number := reader.recv(1)[0]) != 0:
            if number in numbers:
                stopped.set()
                for wake in wakes:
                    wake()

    watcher = threading.Thread(target=watch, name="signals", daemon=True)
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in numbers}
    fd_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    watcher.start()
    try:
        yield wakes
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.send(b"\0")
        watcher.join()
        reader.close()
        writer.close()
