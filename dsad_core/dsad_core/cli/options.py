"""Command-line options that several commands share."""

import re

from dsad_core.errors import UsageError

TARGET_HELP = "cpu, cuda, agx or ascend."
BACKEND_HELP = "direct, openvino, onnxruntime, tensorrt or acl. Default: the target's first that can run."


def parse_size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` as (height, width).

    Raises:
        UsageError: anything else.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text)
    if not match:
        raise UsageError(f"size {text!r} is not WIDTHxHEIGHT, such as 640x512")
    return int(match[2]), int(match[1])
