"""Image files that claim more than they hold: OpenCV takes seconds and gigabytes to find out."""

import struct

import cv2
import numpy as np
import pytest

from dsad_core.errors import DataError
from dsad_core.frame.codec import MAX_SIDE
from dsad_tools.data.images import read_grey


def jpeg(height, width):
    content = bytearray(cv2.imencode(".jpg", np.full((8, 8), 100, np.uint8))[1].tobytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.parametrize("height, width", [(62629, 56893), (9269, 62275), (1, MAX_SIDE + 1)])
def test_a_jpeg_beyond_the_largest_frame_is_refused_before_it_is_decoded(height, width, tmp_path):
    path = tmp_path / "frame.jpg"
    path.write_bytes(jpeg(height, width))
    with pytest.raises(DataError, match=f"frame.jpg: {width}x{height}, a frame has {MAX_SIDE} pixels"):
        read_grey(path)


def test_a_bitmap_beyond_what_opencv_takes_is_refused_in_one_line(tmp_path):
    path = tmp_path / "frame.bmp"
    header = struct.pack("<IiiHHIIiiII", 40, 1 << 17, 1 << 17, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + header + bytes(64))
    with pytest.raises(DataError, match="frame.bmp: not a readable image"):
        read_grey(path)
