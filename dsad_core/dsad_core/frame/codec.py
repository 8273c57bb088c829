"""sensor_msgs/Image bytes to grey NumPy frames and back, without cv_bridge.

Decoding copies nothing where the bytes already are the frame: the result is then a (possibly
read-only, possibly strided) view on the message's buffer.
"""

import array
import sys
from typing import Any

import cv2
import numpy as np

from dsad_core.errors import FrameError
from dsad_core.frame.encodings import find_encoding

#: Longest side of a frame. Beyond it a header is taken for damaged, before anything is allocated.
MAX_SIDE = 16384


def decode(encoding: str, height: int, width: int, step: int, data, is_bigendian: int = 0) -> np.ndarray:
    """Turn the fields of an Image message into a grey frame.

    Args:
        encoding: one of ``encodings.ENCODINGS``.
        height: rows, 1 to ``MAX_SIDE``.
        width: columns, 1 to ``MAX_SIDE``.
        step: bytes from one row to the next; may exceed the row (padding).
        data: any contiguous buffer of at least ``height * step`` bytes, half as much again for nv12. A surplus
            below one row is tolerated (buffers rounded up by drivers); more means that height or step is wrong.
        is_bigendian: byte order of 16 and 32 bit samples.

    Returns:
        (height, width) uint8, uint16 or float32 in native byte order; colour becomes uint8 luma, signed counts
        become float32 with their values. May be a read-only view on ``data``.

    Raises:
        FrameError: reason ``encoding``, ``size``, ``step``, ``truncated`` or ``nan`` (NaN or
            infinity in 32FC1).
    """
    layout = find_encoding(encoding)
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise FrameError("size", f"frame size {width}x{height} is outside 1 to {MAX_SIDE} pixels a side")
    row = width * layout.channels * layout.dtype.itemsize
    if step < row:
        raise FrameError(
            "step", f"step {step} is shorter than a row of {width} {encoding} pixels ({row} bytes)"
        )
    view, rows = memoryview(data), layout.rows(height)
    if view.nbytes < rows * step:
        raise FrameError(
            "truncated", f"data has {view.nbytes} bytes, {rows} rows of step {step} need {rows * step}"
        )
    if view.nbytes >= (rows + 1) * step:
        raise FrameError(
            "step",
            f"data has {view.nbytes} bytes, {rows} rows of step {step} are only "
            f"{rows * step}: height or step is wrong",
        )

    stored = layout.dtype.newbyteorder(">" if is_bigendian else "<")
    size = stored.itemsize
    if layout.channels == 1:
        frame = np.ndarray((height, width), stored, view, strides=(step, size))
    else:
        frame = np.ndarray((height, width, layout.channels), stored, view, strides=(step, layout.channels, 1))
        frame = (
            cv2.cvtColor(frame, layout.to_grey)
            if layout.to_grey is not None
            else np.ascontiguousarray(frame[:, :, layout.luma])
        )
    if frame.dtype.kind == "i":
        frame = frame.astype(np.float32)
    elif not frame.dtype.isnative:
        frame = frame.astype(layout.dtype)
    if frame.dtype == np.float32 and not np.isfinite(frame).all():
        bad = frame.size - np.count_nonzero(np.isfinite(frame))
        raise FrameError("nan", f"{encoding} frame holds {bad} NaN or infinite pixels")
    return frame


def decode_message(msg: Any) -> np.ndarray:
    """``decode`` of a sensor_msgs/Image, of rclpy or of rosbags."""
    return decode(msg.encoding, msg.height, msg.width, msg.step, msg.data, msg.is_bigendian)


def fill_message(msg: Any, frame: np.ndarray, encoding: str) -> None:
    """Set every field of a sensor_msgs/Image but the header.

    Args:
        msg: the message; ``data`` becomes an ``array.array('B')``, the one type that rclpy
            takes without checking it element by element.
        frame: (H, W) for grey or (H, W, C) for colour, of exactly the type that ``encoding`` says.
        encoding: one of ``encodings.ENCODINGS``, but none of luma and chroma.

    Raises:
        FrameError: reason ``encoding`` where type or channels disagree, ``size`` for absurd sizes.
    """
    layout = find_encoding(encoding)
    channels = frame.shape[2] if frame.ndim == 3 else 1
    stores = layout.luma is None and channels == layout.channels and frame.dtype == layout.dtype
    if frame.ndim not in (2, 3) or not stores:
        raise FrameError(
            "encoding", f"a frame of shape {frame.shape} and type {frame.dtype} is not {encoding}"
        )
    height, width = frame.shape[:2]
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise FrameError("size", f"frame size {width}x{height} is outside 1 to {MAX_SIDE} pixels a side")
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(frame, layout.dtype).data.cast("B"))
    msg.height = height
    msg.width = width
    msg.encoding = encoding
    msg.is_bigendian = int(sys.byteorder == "big")
    msg.step = width * layout.channels * layout.dtype.itemsize
    msg.data = data
