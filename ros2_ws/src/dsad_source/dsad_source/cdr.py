"""The stamp inside a serialised message, read and replaced without deserialising the rest.

A message whose first field is a std_msgs/Header begins with 4 bytes of encapsulation (the lowest bit
of the second says little-endian), then the stamp: int32 seconds, uint32 nanoseconds.
"""

import struct

_STAMP = slice(4, 12)


def read_stamp(data: bytes) -> int:
    """Nanoseconds of the header's stamp. Raises ValueError for data too short to hold one."""
    if len(data) < _STAMP.stop:
        raise ValueError(f"{len(data)} bytes cannot hold a message with a header")
    seconds, nanoseconds = struct.unpack(_layout(data), data[_STAMP])
    return seconds * 1_000_000_000 + nanoseconds


def replace_stamp(data: bytes, stamp: int) -> bytes:
    """The same message with another stamp, nanoseconds; every other byte stays."""
    packed = struct.pack(_layout(data), *divmod(stamp, 1_000_000_000))
    return b"".join((data[: _STAMP.start], packed, memoryview(data)[_STAMP.stop :]))


def _layout(data: bytes) -> str:
    return "<iI" if data[1] & 1 else ">iI"
