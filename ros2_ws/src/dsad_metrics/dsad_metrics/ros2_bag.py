"""``ros2 bag record`` in the place of our own recorder, where it is installed: on a robot."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from ament_index_python.packages import get_packages_with_prefixes

from dsad_metrics.bag_thread import SYNC_SECONDS

#: Full name of the node that it runs; releases differ in how another is given.
NODE = "/rosbag2_recorder"
#: Chunks of MCAP wait in memory until they are full. Small ones leave little to lose, bytes.
_CHUNK = 1 << 16
#: It ignores a write that fails, and records nothing from then on. So it is ended while there is room for what is
#: on its way: half a second of frames and the file's index, bytes.
SPARE = 64 << 20
_PR_SET_PDEATHSIG = 1


def installed() -> bool:
    """Whether this system has ``ros2 bag record`` and its MCAP storage."""
    there = {"ros2bag", "rosbag2_storage_mcap"} <= set(get_packages_with_prefixes())
    return there and shutil.which("ros2") is not None


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which the executable ``recorder`` is our own: its path has no ``ros2``."""
    folders = environment.get("PATH", "").split(os.pathsep)
    return {"PATH": os.pathsep.join(folder for folder in folders if not Path(folder, "ros2").exists())}


def command(
    bag: str,
    topics: Sequence[str],
    latched: Sequence[str],
    part_bytes: int,
    part_seconds: float,
    folder: Path,
) -> list[str]:
    """Program and arguments that record some topics.

    Args:
        bag: folder to make.
        topics: full names.
        latched: those of them whose last message holds until the next.
        part_bytes, part_seconds: where a file of the bag ends and the next begins.
        folder: takes the files that the arguments name.
    """
    storage, qos = folder / "storage.yaml", folder / "qos.yaml"
    storage.write_text(yaml.safe_dump({"chunkSize": _CHUNK, "compression": "None"}))
    # The others are subscribed as their publishers offer them; a camera's driver may be best effort.
    profile = {
        "history": "keep_last",
        "depth": 1,
        "reliability": "reliable",
        "durability": "transient_local",
    }
    qos.write_text(yaml.safe_dump({topic: dict(profile) for topic in latched}))
    # Releases differ in how topics are named, but all know a regular expression.
    names = "|".join(re.escape(topic) for topic in topics)
    words = ["ros2", "bag", "record", "--output", bag, "--storage", "mcap"]
    words += ["--storage-config-file", str(storage), "--qos-profile-overrides-path", str(qos)]
    words += ["--max-bag-size", str(part_bytes), "--max-bag-duration", str(max(1, round(part_seconds)))]
    return [*words, "--regex", f"^({names})$"]


def record(words: Sequence[str], bag: Path, spare: int = SPARE) -> int:
    """Run the command until it ends, a signal ends it, or the disk is nearly full; sync its files twice a second.

    Args:
        words: the command.
        bag: folder that it makes.
        spare: bytes that stay free on the disk.

    Returns:
        Its exit status; 0 where a signal ended it, 1 where the disk is nearly full.
    """
    stopped = threading.Event()
    # A session of its own: Ctrl-C at a terminal comes once, from us.
    child = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_end_with_parent
    )

    def stop(*_) -> None:
        stopped.set()
        child.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    full = False
    while True:
        try:
            status = child.wait(SYNC_SECONDS)
        except subprocess.TimeoutExpired:
            sync(bag)
            if not full and bag.exists() and (free := shutil.disk_usage(bag).free) < spare:
                full = True
                print(
                    f"recorder: {bag}: recording ended: {free >> 20} MiB are free on the disk and {spare >> 20} MiB "
                    "must be; free some space or name another folder",
                    file=sys.stderr,
                    flush=True,
                )
                child.send_signal(signal.SIGINT)
            continue
        sync(bag)
        if full:
            return 1
        return 0 if stopped.is_set() else status


def sync(folder: Path) -> None:
    """Return once the files of a folder, as far as they are written, are on the disk."""
    for path in (*folder.glob("*"), folder):
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
