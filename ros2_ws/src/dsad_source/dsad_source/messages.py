"""A sample as the messages that carry it."""

import numpy as np
from sensor_msgs.msg import Image

from dsad_core.frame.codec import fill_message
from dsad_core.frame.encodings import own_encoding, to_encoding
from dsad_msgs.msg import Target, TargetArray
from dsad_tools.bags.write import label_fields
from dsad_tools.data.sample import Sample


def image_message(frame: np.ndarray, encoding: str = "") -> Image:
    """An Image without header.

    Args:
        frame: (H, W) uint8, uint16 or float32.
        encoding: one of the codec's, or "" for the one that stores the frame as it is.

    Raises:
        FrameError: the encoding would lose bits, or is unknown.
    """
    encoding = encoding or own_encoding(frame)
    message = Image()
    fill_message(message, to_encoding(frame, encoding), encoding)
    return message


def truth_message(sample: Sample) -> Image | TargetArray | None:
    """The sample's truth without header: a mono8 mask, boxes as labelled targets, or None."""
    if sample.mask is not None:
        return image_message(sample.mask, "mono8")
    if sample.boxes is None:
        return None
    height, width = sample.image.shape
    targets = [Target(**fields) for fields in label_fields(sample.boxes, sample.ids)]
    return TargetArray(height=height, width=width, targets=targets)
