"""Reading any rosbag2, and saying in one line what is wrong with one that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from dsad_core.errors import BagError, one_line
from dsad_tools.bags.cut_off import CutOffReader, is_cut_off
from dsad_tools.bags.types import typestore

#: What a bag made of a data set knows of it.
ORIGIN_KEYS = ("data_set", "split", "split_hash")


@dataclass(frozen=True)
class TopicInfo:
    """One topic of a bag: its name, its type such as ``sensor_msgs/msg/Image``, its messages, and the QoS
    its publishers offered, such as ``reliable volatile keep_last 10`` ("" where none was recorded).
    """

    name: str
    type: str
    count: int
    qos: str


@dataclass(frozen=True)
class BagInfo:
    """What a bag says about itself; times in nanoseconds, ``start_ns`` 0 where it holds no message.

    ``origin`` is what `RawBagWriter` was given of the data set, empty for other bags. ``notes`` says in lines what
    a reader of its figures must know.
    """

    path: Path
    storage: str
    size_bytes: int
    messages: int
    start_ns: int
    duration_ns: int
    topics: tuple[TopicInfo, ...]
    origin: Mapping[str, str]
    notes: tuple[str, ...] = ()


class BagReader:
    """A rosbag2 folder, or a single .mcap or .db3 file. Every pass opens the files anew.

    Of an MCAP recording that was cut off, what was written until then is read, and a note says so.

    Args:
        path: the bag.

    Raises:
        BagError: there is no bag, it has no metadata, is of ROS 1, of an unknown storage, or is damaged
            where that shows at once. Damage farther in raises while messages are read.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        _look_first(self.path)
        self._cut_off = is_cut_off(self.path)
        # The library takes what metadata.yaml lists as it comes: a name may be a list, a count a text.
        with self._opened() as reader, _named(self.path):
            topics = reader.topics
            duration = reader.end_time - reader.start_time if reader.message_count else 0
            self._info = BagInfo(
                path=self.path,
                storage=_storage(self.path),
                size_bytes=_size(self.path),
                messages=reader.message_count,
                start_ns=reader.start_time if reader.message_count else 0,
                # The reader's end lies one nanosecond behind the last message.
                duration_ns=max(0, duration - 1),
                topics=tuple(
                    TopicInfo(name, topic.msgtype or "several types", topic.msgcount, _qos(topic.connections))
                    for name, topic in sorted(topics.items())
                ),
                origin=_origin(reader),
                notes=(_recovered(reader.message_count),) if self._cut_off else (),
            )

    def info(self) -> BagInfo:
        """Size, duration and topics."""
        return self._info

    def topics(self) -> tuple[TopicInfo, ...]:
        """The topics in alphabetical order."""
        return self._info.topics

    def outdated(self) -> set[str]:
        """Types of this suite that were recorded as another version of it defines them: `messages` decodes them by
        the bag's own definitions, and their bytes are none that today's subscribers can take."""
        with self._opened() as reader, _named(self.path):
            return {each.msgtype for each in reader.connections if _is_outdated(each)}

    def messages(
        self, raw: bool = False, topics: Collection[str] | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Messages in recorded order: (topic, log time in nanoseconds, message).

        Args:
            raw: yield the CDR bytes as recorded; otherwise rosbags message objects.
            topics: only these; None for all.

        Raises:
            BagError: a topic that the bag lacks, damage, or (not raw) a type without definition. A bag that
                ends with fewer messages than it announces raises after the last of them.
        """
        with self._opened() as reader:
            with _named(self.path):
                chosen = self._choose(reader, topics)
                store = None if raw else self._store(chosen)
                messages = iter(reader.messages(chosen)) if chosen else iter(())
            seen: Counter[str] = Counter()
            while True:
                with _named(self.path):
                    item = next(messages, None)
                    if item is None:
                        # Readers skip what they cannot place: damage may show as nothing but a gap.
                        _require_all(self.path, chosen, seen)
                        return
                    connection, stamp, data = item
                    seen[connection.topic] += 1
                    content = (
                        bytes(data) if store is None else store.deserialize_cdr(data, connection.msgtype)
                    )
                yield connection.topic, stamp, content

    def _choose(self, reader: Reader, topics: Collection[str] | None) -> list[Connection]:
        if topics is None:
            return list(reader.connections)
        absent = sorted(set(topics) - {connection.topic for connection in reader.connections})
        if absent:
            raise BagError(
                f"{self.path}: has no topic {', '.join(absent)}; it has "
                f"{', '.join(topic.name for topic in self.topics()) or 'none'}"
            )
        return [connection for connection in reader.connections if connection.topic in topics]

    def _store(self, connections: list[Connection]) -> Typestore:
        known = typestore()
        unknown = {connection.msgtype for connection in connections} - set(known.types)
        if not unknown:
            outdated = [each for each in connections if _is_outdated(each)]
            return _own_store(self.path, connections) if outdated else known
        raise BagError(
            f"{self.path}: messages of type {', '.join(sorted(unknown))} cannot be decoded here; "
            "choose other topics or replay them as they are"
        )

    def _opened(self) -> _Opened:
        return _Opened(self.path, CutOffReader if self._cut_off else Reader)


def _is_outdated(connection: Connection) -> bool:
    ours = connection.msgtype.startswith("dsad_msgs/") and connection.msgtype in typestore().types
    return ours and connection.digest not in ("", typestore().hash_rihs01(connection.msgtype))


def _own_store(path: Path, connections: list[Connection]) -> Typestore:
    """The types as the bag itself defines them."""
    store = get_typestore(Stores.EMPTY)
    for connection in connections:
        if not connection.msgdef.data:
            raise BagError(
                f"{path}: {connection.msgtype} is of another version of this suite, and the bag does not define it; "
                "make the bag anew"
            )
        with _named(path):
            store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
    return store


class _Opened:
    """The library's reader while it is open; its errors come out as BagError."""

    def __init__(self, path: Path, reader: type[Reader]):
        self._path = path
        self._reader_type = reader

    def __enter__(self) -> Reader:
        with _named(self._path):
            self._reader = self._reader_type(self._path)
            self._reader.open()
        return self._reader

    def __exit__(self, *_) -> None:
        if self._reader.is_open:
            self._reader.close()


class _named:
    """Turns whatever a damaged file makes the library raise into one line that names the bag."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        # Damage surfaces as errors of YAML, SQLite, zstd, struct and many more; they share no base.
        if kind is None or not issubclass(kind, Exception) or issubclass(kind, BagError):
            return
        reason = one_line(error)
        raise BagError(
            f"{self._path}: not a readable rosbag2 ({reason[:200]}); record or copy it again, "
            "or try `ros2 bag reindex`"
        ) from None


def _look_first(path: Path) -> None:
    """Refuse what can be told from names alone, in clearer words than a parser's."""
    if not path.exists():
        raise BagError(f"{path}: no such bag")
    if path.is_file():
        if path.suffix == ".bag":
            raise BagError(
                f"{path}: a ROS 1 bag; convert it with `rosbags-convert --src {path.name} --dst {path.stem}`"
            )
        if path.suffix not in (".mcap", ".db3"):
            raise BagError(f"{path}: not a rosbag2; give its folder, or an .mcap or .db3 file")
    elif not (path / "metadata.yaml").is_file():
        if any(path.glob("*.mcap")):
            return  # Its recording was cut off.
        parts = sorted(entry.name for entry in path.glob("*.db3"))
        if parts:
            raise BagError(
                f"{path}: metadata.yaml is missing (was the recording cut off?); give the file "
                f"{parts[0]} itself, or run `ros2 bag reindex {path.name}`"
            )
        raise BagError(f"{path}: no rosbag2, it holds neither metadata.yaml nor an .mcap or .db3 file")


def _require_all(path: Path, connections: list[Connection], seen: Counter[str]) -> None:
    announced: Counter[str] = Counter()
    for connection in connections:
        announced[connection.topic] += connection.msgcount
    for topic, count in announced.items():
        if seen[topic] < count:
            raise BagError(
                f"{path}: {topic} has only {seen[topic]} of the {count} messages that the bag "
                "announces; it is damaged, record or copy it again"
            )


def _qos(connections: list[Connection]) -> str:
    profiles = dict.fromkeys(
        f"{qos.reliability.name} {qos.durability.name} {qos.history.name} {qos.depth}".lower()
        for connection in connections
        for qos in getattr(connection.ext, "offered_qos_profiles", ())  # ROS 1 has none
    )
    return ", ".join(profiles)


def _origin(reader: Reader) -> dict[str, str]:
    custom = reader.storage.metadata.custom or {}
    return {key: str(custom[key]) for key in ORIGIN_KEYS if key in custom}


def _recovered(messages: int) -> str:
    return f"The recording was cut off: {messages} messages are recovered."


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [entry for entry in sorted(path.iterdir()) if entry.is_file()]


def _size(path: Path) -> int:
    return sum(entry.stat().st_size for entry in _files(path))


def _storage(path: Path) -> str:
    names = [entry.name for entry in _files(path)]
    return "mcap" if any(".mcap" in name for name in names) else "sqlite3"
