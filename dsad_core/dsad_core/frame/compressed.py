"""Grey frames from the payload of a sensor_msgs/CompressedImage: JPEG and PNG, 8 and 16 bit."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from dsad_core.errors import FrameError
from dsad_core.frame.codec import MAX_SIDE

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
#: JPEG markers that carry the size: every kind of frame but the tables DHT, JPG and DAC.
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def decode_compressed(encoding: str, data: Any) -> np.ndarray:
    """The frame in a compressed payload.

    Args:
        encoding: ``CompressedImage.format``, such as ``16UC1; png compressed`` or ``jpeg``.
        data: the file's bytes, any contiguous buffer.

    Returns:
        (H, W) uint8 or uint16; 16-bit PNG comes unchanged, colour becomes uint8 luma.

    Raises:
        FrameError: reason ``encoding`` (neither JPEG nor PNG, or a JPEG that claims more than 8 bits),
            ``size`` or ``truncated``.
    """
    height, width = peek_size(encoding, data)
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise FrameError("size", f"frame size {width}x{height} is outside 1 to {MAX_SIDE} pixels a side")
    claimed = encoding.split(";")[0].strip().lower()
    buffer = np.frombuffer(data, np.uint8)
    if bytes(buffer[:2]) == _JPEG and any(bits in claimed for bits in ("16", "32")):
        raise FrameError(
            "encoding",
            f"format '{encoding}' is a JPEG, which holds 8 bits: counts are lost. Publish PNG "
            "(parameter <topic>.compressed.format: png), or image_transport raw",
        )
    frame = None if cut_short(buffer) else cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    if frame is None or frame.shape[:2] != (height, width):
        raise FrameError(
            "truncated", f"{buffer.size} bytes of format '{encoding}' cannot be decoded: cut short?"
        )
    if frame.ndim == 3:
        if frame.dtype != np.uint8:
            raise FrameError("encoding", f"format '{encoding}' holds 16-bit colour; publish grey")
        frame = cv2.cvtColor(frame, cv2.COLOR_BGRA2GRAY if frame.shape[2] == 4 else cv2.COLOR_BGR2GRAY)
    return frame


def peek_size(encoding: str, data: Any) -> tuple[int, int]:
    """(height, width) from the head of a JPEG or PNG, without decoding it.

    Raises:
        FrameError: reason ``encoding`` where it is neither, ``truncated`` where the head is incomplete.
    """
    view = bytes(memoryview(data)[: 1 << 16])
    if view.startswith(_PNG):
        if len(view) < 24:
            raise FrameError(
                "truncated", f"{len(view)} bytes of format '{encoding}' end within the PNG's head"
            )
        return int.from_bytes(view[20:24], "big"), int.from_bytes(view[16:20], "big")
    if not view.startswith(_JPEG):
        raise FrameError(
            "encoding",
            f"format '{encoding}' is neither JPEG nor PNG; for ffmpeg, zstd or compressedDepth run "
            "image_transport's republish to raw",
        )
    place = 2
    while place + 9 <= len(view) and view[place] == 0xFF:
        if view[place + 1] in _SIZES:
            return int.from_bytes(view[place + 5 : place + 7], "big"), int.from_bytes(
                view[place + 7 : place + 9], "big"
            )
        place += 2 + int.from_bytes(view[place + 2 : place + 4], "big")
    raise FrameError("truncated", f"{len(view)} bytes of format '{encoding}' hold no JPEG frame")


def cut_short(data: Any) -> bool:
    """True for a PNG whose parts reach beyond its end; False for any other bytes.

    OpenCV makes room for what a part claims before it looks for it: 160 bytes cost it seconds and gigabytes.
    """
    view, place = memoryview(data), len(_PNG)
    if bytes(view[:place]) != _PNG:
        return False
    while place < len(view):
        kind = bytes(view[place + 4 : place + 8])
        place += 12 + int.from_bytes(view[place : place + 4], "big")
        if kind == b"IEND":
            break
    return place > len(view)
