"""A grey frame in the array layout of an encoding, without changing a count."""

import numpy as np

from dsad_core.errors import FrameError
from dsad_core.frame.codec import ENCODINGS

_OWN_ENCODING = {"uint8": "mono8", "uint16": "mono16", "float32": "32FC1"}
_DTYPES = {"mono8": np.uint8, "8UC1": np.uint8, "mono16": np.uint16, "16UC1": np.uint16, "32FC1": np.float32}
_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4}


def own_encoding(frame: np.ndarray) -> str:
    """The encoding that stores a (H, W) uint8, uint16 or float32 frame as it is."""
    return _OWN_ENCODING[frame.dtype.name]


def to_encoding(frame: np.ndarray, encoding: str) -> np.ndarray:
    """The frame as ``fill_message`` wants it for ``encoding``.

    Args:
        frame: (H, W) uint8, uint16 or float32.
        encoding: one of the codec's. Counts are never scaled: 8 bits fit into 16 bits, floats and
            colour; 16 bits fit into floats.

    Returns:
        (H, W), or (H, W, C) with grey in every colour and full opacity.

    Raises:
        FrameError: the encoding would lose bits, or is unknown.
    """
    if encoding not in ENCODINGS:
        raise FrameError("encoding", f"encoding {encoding!r} is not one of {', '.join(ENCODINGS)}")
    channels = _CHANNELS.get(encoding)
    stored = np.uint8 if channels else _DTYPES[encoding]
    if not np.can_cast(frame.dtype, stored, "safe"):
        raise FrameError(
            "encoding",
            f"frames are {frame.dtype}: encoding {encoding} would lose bits; use {own_encoding(frame)}",
        )
    frame = frame.astype(stored, copy=False)
    if channels:
        frame = np.repeat(frame[:, :, None], channels, axis=2)
        frame[:, :, 3:] = 255
    return frame
