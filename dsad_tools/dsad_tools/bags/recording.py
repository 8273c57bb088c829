"""Writing a rosbag2 that is worth something at every moment: what is on the disk survives a kill."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import CompressionMode
from rosbags.rosbag2.metadata import dump_qos_v8
from rosbags.rosbag2.storage_mcap import McapWriter

from dsad_core.errors import BagError
from dsad_core.files import write_atomic
from dsad_tools.bags.raw import BAG_VERSION, full_disk_named, reliable_qos
from dsad_tools.bags.types import typestore

#: A part ends when it has grown to this size, bytes, or lasts this long, seconds.
PART_BYTES, PART_SECONDS = 1 << 30, 300.0


class Recording:
    """Writes CDR bytes to a bag of MCAP files under its final name.

    The bag is ``path/<name>_0.mcap``, ``path/<name>_1.mcap``, ... and ``path/metadata.yaml``, which lists the
    finished parts and is written anew with each. `sync` puts all that was written on the disk; of a part that
    has no end, because the recorder was killed or the power went, `BagReader` reads what is there.

    Args:
        path: bag folder to make; must not exist.
        part_bytes, part_seconds: where a part ends and the next begins. It also ends where the clock jumps
            back, so that each part is in order of time.

    Raises:
        BagError: ``path`` exists or cannot be made.
    """

    def __init__(self, path: str | Path, part_bytes: int = PART_BYTES, part_seconds: float = PART_SECONDS):
        self.path = Path(path)
        if self.path.exists():
            raise BagError(f"{path}: exists already; remove it or name another folder")
        with full_disk_named(self.path):
            self.path.mkdir(parents=True)
        self._part_bytes = part_bytes
        self._part_ns = round(part_seconds * 1e9)
        self._connections: dict[str, Connection] = {}
        self._finished: list[_Part] = []
        self._part: _Part | None = None

    def add_topic(self, topic: str, type_name: str) -> None:
        """Announce a topic, such as ``/irst/mask`` of ``sensor_msgs/msg/Image``. Again is no error."""
        if topic in self._connections:
            return
        definition, _ = typestore().generate_msgdef(type_name, ros_version=2)
        self._connections[topic] = Connection(
            id=len(self._connections) + 1,
            topic=topic,
            msgtype=type_name,
            msgdef=MessageDefinition(MessageDefinitionFormat.MSG, definition),
            digest=typestore().hash_rihs01(type_name),
            msgcount=0,
            ext=ConnectionExtRosbag2("cdr", [reliable_qos(10)]),
            owner=None,
        )

    def write(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append one serialised message of an announced topic, logged at ``stamp_ns``.

        Raises:
            BagError: the disk takes no more.
        """
        with full_disk_named(self.path):
            if self._part is not None and self._is_over(self._part, stamp_ns):
                self._finish_part(self._part)
            if self._part is None:
                self._part = _Part.begin(self.path, len(self._finished), stamp_ns)
            self._part.write(self._connections[topic], stamp_ns, data)

    def sync(self) -> None:
        """Return once all that was written is on the disk.

        Raises:
            BagError: the disk takes no more.
        """
        if self._part is not None:
            with full_disk_named(self.path):
                self._part.sync()

    def close(self) -> None:
        """Finish the last part. Closing twice is no error.

        Raises:
            BagError: the disk takes no more; what was on it stays.
        """
        if self._part is not None:
            with full_disk_named(self.path):
                self._finish_part(self._part)

    def discard(self) -> None:
        """Drop a bag of which no part is finished."""
        part, self._part = self._part, None
        # A full disk can fail the flush too.
        with contextlib.suppress(OSError):
            if part is not None:
                part.path.unlink()
                part.writer.abort()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _is_over(self, part: _Part, stamp_ns: int) -> bool:
        too_long = stamp_ns - part.start_ns >= self._part_ns
        return too_long or stamp_ns < part.end_ns or part.size >= self._part_bytes

    def _finish_part(self, part: _Part) -> None:
        self._part = None
        part.finish(self._information([part]))
        self._finished.append(part)
        content = {"rosbag2_bagfile_information": self._information(self._finished)}
        write_atomic(self.path / "metadata.yaml", yaml.safe_dump(content, sort_keys=False))
        _sync_folder(self.path)

    def _information(self, parts: list[_Part]) -> dict[str, Any]:
        """What metadata.yaml says of some parts, each known by its path, times and count."""
        return {
            "version": BAG_VERSION,
            "storage_identifier": "mcap",
            "relative_file_paths": [part.path.name for part in parts],
            **_times(min(part.start_ns for part in parts), max(part.end_ns for part in parts)),
            "message_count": sum(part.messages for part in parts),
            "topics_with_message_count": [
                {
                    "topic_metadata": {
                        "name": each.topic,
                        "type": each.msgtype,
                        "serialization_format": _ros2(each).serialization_format,
                        "offered_qos_profiles": dump_qos_v8(_ros2(each).offered_qos_profiles),
                        "type_description_hash": each.digest,
                    },
                    "message_count": sum(part.counts.get(each.topic, 0) for part in parts),
                }
                for each in self._connections.values()
            ],
            "compression_format": "",
            "compression_mode": "",
            "files": [
                {
                    "path": part.path.name,
                    **_times(part.start_ns, part.end_ns),
                    "message_count": part.messages,
                }
                for part in parts
            ],
            "custom_data": None,
            "ros_distro": "rosbags",
        }


@dataclass
class _Part:
    """One MCAP file that grows; times in nanoseconds, messages counted by topic."""

    path: Path
    writer: McapWriter
    start_ns: int
    end_ns: int
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, bag: Path, number: int, start_ns: int) -> _Part:
        # The library's writer names its file after the folder that it is in; a part lies in the bag's own.
        folder = bag / f"{bag.name}_{number}"
        folder.mkdir()
        writer = McapWriter(folder, CompressionMode.NONE)
        path = writer.path.rename(bag / writer.path.name)
        folder.rmdir()
        # The header too: a file without one is no MCAP at all.
        writer.bio.flush()
        _sync_folder(bag)
        return cls(path, writer, start_ns, start_ns)

    @property
    def messages(self) -> int:
        return sum(self.counts.values())

    @property
    def size(self) -> int:
        return self.writer.bio.tell() + self.writer.chunk.bio.tell()

    def write(self, connection: Connection, stamp_ns: int, data: bytes | memoryview) -> None:
        if connection.topic not in self.counts:
            self.counts[connection.topic] = 0
            if connection.msgtype not in {schema.name for schema in self.writer.schemas}:
                self.writer.add_msgtype(connection)
            self.writer.add_connection(connection, dump_qos_v8(_ros2(connection).offered_qos_profiles))
        self.writer.write(connection, stamp_ns, data)
        self.end_ns = stamp_ns
        self.counts[connection.topic] += 1

    def sync(self) -> None:
        if self.writer.chunk.msgs:
            self.writer.close_chunk()
        self.writer.bio.flush()
        os.fsync(self.writer.bio.fileno())

    def finish(self, information: Mapping[str, Any]) -> None:
        self.sync()
        self.writer.close(BAG_VERSION, yaml.safe_dump(information, sort_keys=False))
        with open(self.path, "rb") as stream:
            os.fsync(stream.fileno())


def _times(start_ns: int, end_ns: int) -> dict[str, Any]:
    return {
        "duration": {"nanoseconds": end_ns - start_ns},
        "starting_time": {"nanoseconds_since_epoch": start_ns},
    }


def _sync_folder(folder: Path) -> None:
    """Names of new files survive a power cut only once their folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _ros2(connection: Connection) -> ConnectionExtRosbag2:
    if not isinstance(connection.ext, ConnectionExtRosbag2):
        raise TypeError(f"{connection.topic} is a connection of ROS 1")
    return connection.ext
