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
import sys

#: Shared memory that the segments and ports of one node need, bytes. Fast DDS maps them without asking whether there
#: is room, and the kernel ends the process at the first write (SIGBUS).
SHARED_BYTES = 16 << 20
#: What ROS's tracing library (LTTng) needs there; without, importing rclpy ends with SIGBUS.
TRACING_BYTES = 8 << 10
SHARED_MEMORY = "/dev/shm"
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
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
    if told := leave_shared_memory():
        print(f"[WARN] {told}", file=sys.stderr, flush=True)
    importlib.import_module("rclpy")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    importlib.import_module(module).main()


def leave_shared_memory() -> str:
    """Where shared memory is nearly full, have Fast DDS 2.11 and newer send everything by UDP; the warning, or ''.

    A profile that uses no shared memory stays.

    Raises:
        SystemExit: there is not even room for what rclpy loads.
    """
    try:
        room = os.statvfs(SHARED_MEMORY)
    except OSError:
        return ""  # Fast DDS then finds none either
    free = room.f_bavail * room.f_frsize
    if free >= SHARED_BYTES:
        return ""
    way_out = "remove what fills it, or give a container --shm-size"
    if free < TRACING_BYTES:
        sys.exit(
            f"[FATAL] {SHARED_MEMORY} has {free} bytes free, ROS cannot start without 8 KiB there; {way_out}"
        )
    left_out = ""
    for name in PROFILES:
        with contextlib.suppress(OSError, KeyError, UnicodeDecodeError):
            with open(os.environ[name], encoding="utf-8") as stream:
                if "SHM" not in stream.read():
                    return ""
            left_out = f" without the profile {os.environ.pop(name)}"
    os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"
    return (
        f"{SHARED_MEMORY} has {free >> 10} KiB free, a node needs {SHARED_BYTES >> 20} MiB: frames go by UDP{left_out}, "
        f"where large ones get lost; {way_out}"
    )


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
