"""What Fast DDS leaves in /dev/shm when a process is killed.

A participant holds a lock on ``<segment>_el`` as long as it lives. A segment of 4 MiB whose lock
is free belongs to nobody: sixteen of them fill the /dev/shm of a container.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

#: A lock file younger than this may belong to a process that has yet to lock it, seconds.
YOUNG_SECONDS = 5.0


def remove_stale_segments(folder: Path = Path("/dev/shm")) -> int:
    """Remove the segments of dead participants; returns how many."""
    removed = 0
    for lock in folder.glob("fastrtps_*_el"):
        if lock.name.startswith("fastrtps_port"):
            continue  # 52 KB each, and Fast DDS itself takes over those of the dead
        with contextlib.suppress(OSError):
            if time.time() - lock.stat().st_mtime > YOUNG_SECONDS and _is_free(lock):
                lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
                lock.unlink()
                removed += 1
    return removed


def _is_free(lock: Path) -> bool:
    handle = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
