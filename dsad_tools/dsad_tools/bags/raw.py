"""Writing serialised messages to a rosbag2 that appears only when it is complete."""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from dsad_core.errors import BagError, one_line
from dsad_tools.bags.types import typestore

STORAGES: Mapping[str, StoragePlugin] = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}

#: Metadata 9 (Jazzy) writes QoS profiles as a list, which Humble cannot parse; every later ROS reads 8.
BAG_VERSION: Final = 8
_UNSET = QosTime(sec=0, nsec=0)


def reliable_qos(depth: int) -> Qos:
    """Reliable, volatile, keep-last: what every publisher of the suite offers."""
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        QosDurability.VOLATILE,
        _UNSET,
        _UNSET,
        QosLiveliness.AUTOMATIC,
        _UNSET,
        False,
    )


class RawBagWriter:
    """Writes CDR bytes to a bag beside ``path`` and renames it there when closed without an error.

    Use it as a context manager: an exception, Ctrl-C included, leaves neither a bag nor a remnant.

    Args:
        path: bag folder to make; must not exist.
        storage: ``mcap`` or ``sqlite3``.
        origin: what the bag was made of, kept in its metadata: ``data_set``, ``split``, ``split_hash``.

    Raises:
        BagError: ``path`` exists, cannot be written, or the storage is unknown.
    """

    def __init__(self, path: str | Path, storage: str = "mcap", origin: Mapping[str, str] | None = None):
        self.path = Path(path)
        if storage not in STORAGES:
            raise BagError(f"storage '{storage}' is not one of {', '.join(STORAGES)}")
        if self.path.exists():
            raise BagError(f"{path}: exists already; remove it or name another folder")
        with full_disk_named(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._aside = Path(tempfile.mkdtemp(dir=self.path.parent, prefix=f".{self.path.name}."))
        self._writer = Writer(
            self._aside / self.path.name, version=BAG_VERSION, storage_plugin=STORAGES[storage]
        )
        for key, value in (origin or {}).items():
            self._writer.set_custom_data(key, value)
        self._writer.open()
        self._connections: dict[str, Connection] = {}
        self._open = True

    def add_topic(self, topic: str, type_name: str, depth: int = 10) -> None:
        """Announce a topic, such as ``/irst/mask`` of ``sensor_msgs/msg/Image``. Again is no error."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=typestore(), offered_qos_profiles=(reliable_qos(depth),)
            )

    def write(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append one serialised message of an announced topic, logged at ``stamp_ns``.

        Raises:
            BagError: the disk takes no more.
        """
        with full_disk_named(self.path):
            self._writer.write(self._connections[topic], stamp_ns, data)

    def close(self) -> None:
        """Finish the bag and move it to its path. Closing twice is no error."""
        if not self._open:
            return
        self._open = False
        try:
            with full_disk_named(self.path):
                self._writer.close()
                (self._aside / self.path.name).rename(self.path)
        finally:
            shutil.rmtree(self._aside, ignore_errors=True)

    def discard(self) -> None:
        """Drop what was written."""
        if self._open:
            self._open = False
            # A full disk can fail the flush too; all of it is thrown away in any case.
            with contextlib.suppress(OSError, sqlite3.Error):
                self._writer.abort()
            shutil.rmtree(self._aside, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


@contextlib.contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Say of a disk that is full or write-protected which bag it was that could not be written."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise BagError(
            f"{path}: cannot be written ({one_line(error)}); free some space or name another folder"
        ) from None
