"""Frame sizes: how people write them, and which a network accepts."""

import re

from dsad_core.errors import UsageError
from dsad_core.frame.codec import MAX_SIDE


def parse_size(text: str, name: str = "size") -> tuple[int, int]:
    """``WIDTHxHEIGHT`` as (height, width), each 1 to ``MAX_SIDE``.

    Args:
        name: what the size is of, for the message.

    Raises:
        UsageError: anything else.
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*[xX]\s*(\d{1,6})\s*", text)
    if match:
        width, height = int(match[1]), int(match[2])
        if 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE:
            return height, width
    raise UsageError(f"{name} {text!r} is not WIDTHxHEIGHT in pixels, each 1 to {MAX_SIDE}, such as 640x512")


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """Smallest (height, width) not below the given one whose sides are multiples of ``multiple``."""
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple
