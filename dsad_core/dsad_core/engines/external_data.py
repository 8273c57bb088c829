"""Which files an ONNX model keeps weights in beside its own; read without the ``onnx`` package.

Only what is needed of the format is followed: a protobuf message is a list of fields, each with a number,
and those that hold tensors, graphs and nodes are known by number. Bytes that are no ONNX give no files: the
runtime refuses them.
"""

from collections.abc import Iterator
from typing import Any

#: Fields by the kind of message: number -> kind of what it holds.
_FIELDS = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_KEY, _VALUE = 1, 2


def external_files(model: bytes) -> list[str]:
    """Names of the files, in order and each once; a tensor that names none is '?'."""
    found: dict[str, None] = {}
    try:
        for name in _walk(memoryview(model), "model"):
            found[name] = None
    except (IndexError, ValueError):
        pass
    return list(found)


def _walk(message: memoryview, kind: str) -> Iterator[str]:
    if kind == "tensor":
        yield from _location(message)
        return
    inner = _FIELDS[kind]
    for number, value in _fields(message):
        if number in inner and isinstance(value, memoryview):
            yield from _walk(value, inner[number])


def _location(tensor: memoryview) -> Iterator[str]:
    outside, name = False, "?"
    for number, value in _fields(tensor):
        if number == _DATA_LOCATION:
            outside = value == _EXTERNAL
        elif number == _EXTERNAL_DATA and isinstance(value, memoryview):
            outside = True
            entry: dict[int, Any] = dict(_fields(value))
            if bytes(entry.get(_KEY, b"")) == b"location":
                name = bytes(entry.get(_VALUE, b"?")).decode(errors="replace")
    if outside:
        yield name


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an integer, or the bytes of a string or message."""
    position = 0
    value: int | memoryview
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(message, position)
        elif wire == 2:
            length, position = _varint(message, position)
            if position + length > len(message):
                raise ValueError("cut off")
            value, position = message[position : position + length], position + length
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, position = 0, position + size
        else:
            raise ValueError(f"wire type {wire}")
        yield number, value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("no varint")
