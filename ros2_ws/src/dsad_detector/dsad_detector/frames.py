"""From an Image message to a grey frame, with cv_bridge for encodings that are not our own."""

from __future__ import annotations

import functools

import numpy as np

from dsad_core.errors import FrameError, one_line
from dsad_core.frame.codec import MAX_SIDE, decode_message
from dsad_core.frame.compressed import decode_compressed
from dsad_core.frame.encodings import ENCODINGS
from dsad_detector.compressed import CompressedFrame


def decode_frame(message) -> np.ndarray:
    """The grey frame in a sensor_msgs/Image, or in a `CompressedFrame`.

    Returns:
        (H, W) uint8, uint16 or float32; may be a read-only view on the message.

    Raises:
        FrameError: the message lies about itself, or its encoding is known neither to our codec
            nor to an installed cv_bridge.
    """
    if isinstance(message, CompressedFrame):
        return decode_compressed(message.encoding, message.data)
    if message.encoding in ENCODINGS:
        return decode_message(message)
    bridge = _cv_bridge()
    if bridge is None:
        raise FrameError(
            "encoding",
            f"encoding '{message.encoding}' is not one of {', '.join(ENCODINGS)}; "
            "others need ROS's own cv_bridge, which is not installed",
        )
    return _convert(bridge, message)


@functools.cache
def _cv_bridge():
    """A CvBridge, or None; imported only when a frame asks for it."""
    try:
        from cv_bridge import CvBridge
    except ImportError:
        return None
    return CvBridge()


def _convert(bridge, message) -> np.ndarray:
    height, width = message.height, message.width
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise FrameError("size", f"frame size {width}x{height} is outside 1 to {MAX_SIDE} pixels a side")
    # Bayer patterns are the 16-bit encodings that turn into grey; everything else is 8 bit.
    wanted, dtype = ("mono16", np.uint16) if message.encoding.endswith("16") else ("mono8", np.uint8)
    try:
        frame = bridge.imgmsg_to_cv2(message, desired_encoding=wanted)
    except Exception as error:  # CvBridgeError, cv2.error, and NumPy's own on short data
        raise FrameError(
            "encoding",
            f"cv_bridge cannot turn encoding '{message.encoding}' into {wanted}: {one_line(error)}",
        ) from error
    if frame.shape != (height, width) or frame.dtype != dtype:
        raise FrameError(
            "encoding",
            f"cv_bridge made {frame.dtype} {frame.shape} of a {width}x{height} "
            f"'{message.encoding}' frame: it does not fit this NumPy",
        )
    return frame
