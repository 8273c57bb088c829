"""The first steps of every node, before rclpy, OpenCV and the engines are imported.

These imports take seconds on a small board. A signal in between would leave a traceback, or a node behind.
This module imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal

_PR_SET_PDEATHSIG = 1


def start(module: str) -> None:
    """Import a node's module and call its ``main``; a signal before that ends the process at once.

    SIGINT stays blocked until rclpy is imported: as a wheel it executes the interpreter anew, which a
    signal would interrupt with a traceback. Launchers block it from the start for the same reason.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    for number in (signal.SIGINT, signal.SIGTERM):
        # Nothing is open yet, so there is nothing to write or close.
        signal.signal(number, lambda *_: os._exit(0))
    _end_with_launcher()
    importlib.import_module("rclpy")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    importlib.import_module(module).main()


def _end_with_launcher() -> None:
    """Have the kernel send SIGINT when the launcher dies, whose process id the environment names."""
    launcher = os.environ.get("DSAD_LAUNCHER_PID", "")
    if not launcher.isdecimal():
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    try:
        os.kill(int(launcher), 0)
    except ProcessLookupError:  # It died before the kernel was asked.
        os._exit(0)
    except PermissionError:
        pass
