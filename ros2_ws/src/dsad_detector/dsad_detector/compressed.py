"""A sensor_msgs/CompressedImage in the place of an Image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from dsad_common import topics
from dsad_core.errors import FrameError
from dsad_core.frame.compressed import peek_size

#: image_transport -> type and topic of the frames.
INPUTS = {"raw": (Image, topics.IMAGE_RAW), "compressed": (CompressedImage, topics.IMAGE_COMPRESSED)}


@dataclass(frozen=True)
class CompressedFrame:
    """What the node needs of an Image; ``encoding`` is the payload's format, 0x0 the size of an unreadable one."""

    header: Any
    height: int
    width: int
    encoding: str
    data: Any

    @classmethod
    def of(cls, message: CompressedImage) -> CompressedFrame:
        """With the size from the payload's head; nothing is decoded."""
        try:
            height, width = peek_size(message.format, message.data)
        except FrameError:
            height, width = 0, 0  # decoding refuses it with the reason
        return cls(message.header, height, width, message.format, message.data)
