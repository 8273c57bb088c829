"""The encodings of a sensor_msgs/Image that this suite reads and writes."""

from dataclasses import dataclass

import cv2
import numpy as np

from dsad_core.errors import FrameError


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an encoding are stored.

    Attributes:
        dtype: of one sample.
        channels: samples of a pixel.
        to_grey: OpenCV's conversion of colour to BT.601 luma; None for grey.
        luma: which sample of a pixel is its luma, where colour is stored as luma and chroma; such a frame is read
            and not written.
        chroma_rows: whether half as many rows of chroma follow the rows of luma (4:2:0).
    """

    dtype: np.dtype
    channels: int = 1
    to_grey: int | None = None
    luma: int | None = None
    chroma_rows: bool = False

    def rows(self, height: int) -> int:
        """Stored rows of a frame of ``height``."""
        return height + (height + 1) // 2 if self.chroma_rows else height


_UYVY = Encoding(np.dtype(np.uint8), 2, luma=1)
_YUYV = Encoding(np.dtype(np.uint8), 2, luma=0)

#: By name, as ROS calls them: ``yuv422`` and ``yuv422_yuy2`` are the older names of ``uyvy`` and ``yuyv``. Of those
#: with one sample type the first is the one that frames are written in.
ENCODINGS = {
    "mono8": Encoding(np.dtype(np.uint8)),
    "8UC1": Encoding(np.dtype(np.uint8)),
    "mono16": Encoding(np.dtype(np.uint16)),
    "16UC1": Encoding(np.dtype(np.uint16)),
    "32FC1": Encoding(np.dtype(np.float32)),
    "rgb8": Encoding(np.dtype(np.uint8), 3, cv2.COLOR_RGB2GRAY),
    "bgr8": Encoding(np.dtype(np.uint8), 3, cv2.COLOR_BGR2GRAY),
    "rgba8": Encoding(np.dtype(np.uint8), 4, cv2.COLOR_RGBA2GRAY),
    "bgra8": Encoding(np.dtype(np.uint8), 4, cv2.COLOR_BGRA2GRAY),
    "8UC3": Encoding(np.dtype(np.uint8), 3, cv2.COLOR_BGR2GRAY),
    "16SC1": Encoding(np.dtype(np.int16)),
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
    "nv12": Encoding(np.dtype(np.uint8), luma=0, chroma_rows=True),
}


def find_encoding(name: str) -> Encoding:
    """The encoding of that name.

    Raises:
        FrameError: reason ``encoding``, there is none.
    """
    try:
        return ENCODINGS[name]
    except KeyError:
        raise FrameError("encoding", f"encoding {name!r} is not one of {', '.join(ENCODINGS)}") from None


def own_encoding(frame: np.ndarray) -> str:
    """The encoding that stores a (H, W) uint8, uint16 or float32 frame as it is."""
    return next(name for name, each in ENCODINGS.items() if each.dtype == frame.dtype)


def to_encoding(frame: np.ndarray, encoding: str) -> np.ndarray:
    """The frame as ``codec.fill_message`` wants it for ``encoding``.

    Args:
        frame: (H, W) uint8, uint16 or float32.
        encoding: one of ``ENCODINGS``. Counts are never scaled: 8 bits fit into 16 bits, floats and
            colour; 16 bits fit into floats.

    Returns:
        (H, W), or (H, W, C) with grey in every colour and full opacity.

    Raises:
        FrameError: the encoding would lose bits, is only read, or is unknown.
    """
    stored = find_encoding(encoding)
    if stored.luma is not None:
        raise FrameError("encoding", f"encoding {encoding} is read only; write {own_encoding(frame)}")
    if not np.can_cast(frame.dtype, stored.dtype, "safe"):
        raise FrameError(
            "encoding",
            f"frames are {frame.dtype}: encoding {encoding} would lose bits; use {own_encoding(frame)}",
        )
    frame = frame.astype(stored.dtype, copy=False)
    if stored.channels > 1:
        frame = np.repeat(frame[:, :, None], stored.channels, axis=2)
        frame[:, :, 3:] = 255
    return frame
