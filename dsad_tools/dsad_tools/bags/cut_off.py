"""Reading a bag whose recording was cut off by SIGKILL or a power cut: every record that is whole."""

from __future__ import annotations

import io
import struct
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

import yaml
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.metadata import ReaderMetadata
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapReader

_MAGIC = b"\x89MCAP0\r\n"
_CHUNK, _DATA_END = 0x06, 0x0F
_RECORD = struct.Struct("<BQ")
#: The end of data, a footer without a summary, and the magic: the least that an MCAP file ends with.
_END = _RECORD.pack(_DATA_END, 4) + bytes(4) + _RECORD.pack(0x02, 20) + bytes(20) + _MAGIC


def is_cut_off(path: Path) -> bool:
    """Whether a bag folder, or an .mcap file, has parts that its recorder did not finish."""
    if path.is_file():
        return path.suffix == ".mcap" and not _is_finished(path)
    parts = {part.name for part in path.glob("*.mcap")}
    try:
        text = (path / "metadata.yaml").read_text()
        if not text.strip():  # The disk was full, or the power went.
            return bool(parts)
        listed = yaml.safe_load(text)
        return bool(parts - set(listed["rosbag2_bagfile_information"]["relative_file_paths"]))
    except FileNotFoundError:
        return bool(parts)
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return False  # Metadata that cannot be read are damage of another kind, and said by the reader.


class _Parts(DirectoryReader):
    """The parts of a folder, or one file, without the help of a metadata.yaml."""

    def __init__(self, path: Path):
        self.file: Path = path
        self.path = path
        self.stack = None
        self.files, self.storages, self.connections = [], [], []

    def open(self) -> None:
        files = [self.file] if self.file.is_file() else list(self.file.glob("*.mcap"))
        self.stack = stack = ExitStack()
        try:
            # By number: the tenth part comes after the ninth.
            for file in sorted(files, key=lambda file: (len(file.name), file.name)):
                self._open_part(file, stack)
        except BaseException:
            with suppress(Exception):
                self.close()
            raise
        filled = [each.metadata for each in self.storages if each.metadata.message_count]
        start = min((each.start_time for each in filled), default=2**63 - 1)
        end = max((each.end_time for each in filled), default=0)
        count = sum(each.message_count for each in filled)
        self.metadata = ReaderMetadata(max(0, end - start), start, end, count, None, None, None, None)
        self.connections = self._merged()

    def _open_part(self, file: Path, stack: ExitStack) -> None:
        whole = None if _is_finished(file) else _whole_bytes(file)
        if whole is not None and whole <= len(_MAGIC):
            return  # It was just begun.
        storage = McapReader(file if whole is None else cast(Path, _Ended(file, whole)))
        storage.open()
        stack.callback(storage.close)
        self.storages.append(storage)

    def _merged(self) -> list[Connection]:
        merged: list[Connection] = []
        for part in (connection for storage in self.storages for connection in storage.connections):
            for index, known in enumerate(merged):
                if (known.topic, known.msgtype, known.ext) == (part.topic, part.msgtype, part.ext):
                    merged[index] = known._replace(msgcount=known.msgcount + part.msgcount)
                    break
            else:
                merged.append(part._replace(id=len(merged) + 1, owner=self))
        return merged


class CutOffReader(Reader):
    """The library's reader for a bag that `is_cut_off`: its parts in order, each as far as it goes."""

    STORAGE_PLUGINS = {"dir": _Parts, ".mcap": _Parts}


def _is_finished(file: Path) -> bool:
    with open(file, "rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(max(0, size - len(_MAGIC)))
        return size > len(_END) and stream.read() == _MAGIC


def _whole_bytes(file: Path) -> int:
    """Length of the part of an MCAP file that holds nothing but whole records."""
    with open(file, "rb") as stream:
        size = _filled_bytes(stream)
        return _last_end(stream, len(_MAGIC), size) if size >= len(_MAGIC) else 0


def _filled_bytes(stream: io.BufferedReader) -> int:
    """Length of a file without the zeros at its end.

    A power cut can leave a file longer than what was written to it. Records that were on the disk lose nothing
    but the end of an index, which is not needed.
    """
    size = stream.seek(0, io.SEEK_END)
    while size:
        begin = max(0, size - (1 << 20))
        stream.seek(begin)
        block = stream.read(size - begin).rstrip(b"\0")
        if block:
            return begin + len(block)
        size = begin
    return 0


def _last_end(stream: io.BufferedReader, position: int, limit: int) -> int:
    """Where the last whole record ends, of those that begin at ``position``."""
    while position + _RECORD.size <= limit:
        stream.seek(position)
        opcode, length = _RECORD.unpack(stream.read(_RECORD.size))
        end = position + _RECORD.size + length
        # No record has the number 0.
        if opcode in (0, _DATA_END) or end > limit or (opcode == _CHUNK and not _is_whole(stream, end)):
            break
        position = end
    return position


def _is_whole(stream: io.BufferedReader, end: int) -> bool:
    """Whether the chunk whose content the stream is at holds whole records; of a compressed one, True."""
    stream.seek(28, io.SEEK_CUR)
    (length,) = struct.unpack("<I", stream.read(4))
    if length:
        return True
    begin = stream.tell() + 8
    return _last_end(stream, begin, end) == end


class _Ended:
    """A file as its reader wants it: its first bytes, and an end."""

    def __init__(self, path: Path, size: int):
        self._path, self._size = path, size

    def __str__(self) -> str:
        return str(self._path)

    def open(self, mode: str) -> io.BufferedReader:
        if mode != "rb":
            raise ValueError(f"{self._path} is read in mode rb, not {mode}")
        return io.BufferedReader(_WithEnd(open(self._path, "rb"), self._size), 1 << 16)


class _WithEnd(io.RawIOBase):
    """The first ``size`` bytes of a stream, followed by `_END`."""

    def __init__(self, stream: io.BufferedReader, size: int):
        self._stream, self._size, self._position = stream, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size + len(_END)}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer) -> int:
        if self._position < self._size:
            self._stream.seek(self._position)
            data = self._stream.read(min(len(buffer), self._size - self._position))
        else:
            data = _END[self._position - self._size :][: len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
