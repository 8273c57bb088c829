import numpy as np
import pytest

from dsad_core.errors import FrameError
from dsad_core.frame.codec import decode_message
from dsad_source.messages import image_message, truth_message
from dsad_tools.data.sample import Sample

FRAME = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("dtype, encoding", [("uint8", "mono8"), ("uint16", "mono16"), ("float32", "32FC1")])
def test_frames_go_out_as_they_are_stored(dtype, encoding):
    frame = FRAME.astype(dtype) * 20
    message = image_message(frame)
    assert message.encoding == encoding
    assert decode_message(message).dtype == frame.dtype and (decode_message(message) == frame).all()


@pytest.mark.parametrize("encoding", ["8UC1", "mono16", "16UC1", "32FC1", "rgb8", "bgr8", "rgba8", "bgra8"])
def test_wider_encodings_keep_every_count(encoding):
    message = image_message(FRAME, encoding)
    assert message.encoding == encoding
    assert (decode_message(message) == FRAME).all()


@pytest.mark.parametrize("dtype, encoding", [("uint16", "mono8"), ("uint16", "bgr8"), ("float32", "mono16")])
def test_encodings_that_would_lose_bits_are_refused(dtype, encoding):
    with pytest.raises(FrameError, match=f"{dtype}: encoding {encoding} would lose bits"):
        image_message(FRAME.astype(dtype), encoding)


def test_unknown_encoding():
    with pytest.raises(FrameError, match="'bayer_rggb8' is not one of mono8"):
        image_message(FRAME, "bayer_rggb8")


def test_truth():
    assert truth_message(Sample("a", FRAME)) is None
    mask = np.where(FRAME > 8, np.uint8(255), np.uint8(0))
    assert (decode_message(truth_message(Sample("a", FRAME, mask))) == mask).all()
    nothing = truth_message(Sample("a", FRAME, boxes=np.zeros((0, 4), np.float32)))
    assert (nothing.height, nothing.width, list(nothing.targets)) == (3, 4, [])


def test_box_is_centred_on_its_pixels():
    boxes = np.array([[2, 1, 1, 1], [0, 0, 4, 3], [-1.2, 0, 3, 0.3]], np.float32)
    one, all_pixels, over_the_edge = truth_message(Sample("a", FRAME, boxes=boxes)).targets
    assert (one.x, one.y, one.left, one.top, one.width, one.height, one.score) == (2, 1, 2, 1, 1, 1, 1)
    assert (all_pixels.x, all_pixels.y) == (1.5, 1.0)
    assert (over_the_edge.left, over_the_edge.height) == (0, 1)
