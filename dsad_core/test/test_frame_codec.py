import array
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dsad_core.errors import FrameError
from dsad_core.frame.codec import MAX_SIDE, decode, decode_message, fill_message
from dsad_core.frame.encodings import ENCODINGS

GREY = {
    "mono8": np.uint8,
    "8UC1": np.uint8,
    "mono16": np.uint16,
    "16UC1": np.uint16,
    "16SC1": np.int16,
    "32FC1": np.float32,
}
COLOUR = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "8UC3": 3}
#: Place of the luma in a pair of bytes.
PAIRS = {"uyvy": 1, "yuv422": 1, "yuyv": 0, "yuv422_yuy2": 0}


def stored(frame: np.ndarray, padding: int, big: bool) -> tuple[int, bytes]:
    """Step and bytes of a frame as a driver would lay it out, written without the codec."""
    ordered = frame.astype(frame.dtype.newbyteorder(">" if big else "<"))
    rows = [row.tobytes() + b"\xa5" * padding for row in ordered]
    return len(rows[0]), b"".join(rows)


@st.composite
def grey_frames(draw):
    encoding = draw(st.sampled_from(sorted(GREY)))
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    finite = {"allow_nan": False, "allow_infinity": False} if encoding == "32FC1" else {}
    dtype = np.dtype(GREY[encoding])
    return encoding, draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **finite)))


@given(grey_frames(), st.integers(0, 7), st.booleans())
def test_grey_frames_decode_exactly_with_any_padding_and_byte_order(case, padding, big):
    encoding, frame = case
    step, data = stored(frame, padding, big)
    decoded = decode(encoding, *frame.shape, step, data, int(big))
    assert decoded.dtype == (np.float32 if encoding == "16SC1" else frame.dtype) and decoded.dtype.isnative
    np.testing.assert_array_equal(decoded, frame)


@given(grey_frames())
def test_fill_and_decode_are_inverse(case):
    encoding, frame = case
    message = SimpleNamespace(header="kept")
    fill_message(message, frame, encoding)
    assert message.header == "kept"
    assert isinstance(message.data, array.array) and message.data.typecode == "B"
    assert message.is_bigendian == (sys.byteorder == "big")
    np.testing.assert_array_equal(decode_message(message), frame)


@pytest.mark.parametrize("encoding", COLOUR)
def test_colour_becomes_bt601_luma(encoding):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (6, 5, COLOUR[encoding]), np.uint8)
    step, data = stored(pixels.reshape(6, -1), 3, False)
    red, blue = (0, 2) if encoding.startswith("rgb") else (2, 0)
    luma = 0.299 * pixels[..., red] + 0.587 * pixels[..., 1] + 0.114 * pixels[..., blue]
    assert np.abs(decode(encoding, 6, 5, step, data) - luma).max() <= 1.0


@pytest.mark.parametrize("encoding", COLOUR)
def test_grey_stored_as_colour_comes_back_exactly(encoding):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.repeat(grey[..., None], COLOUR[encoding], axis=2)
    message = SimpleNamespace()
    fill_message(message, pixels, encoding)
    np.testing.assert_array_equal(decode_message(message), grey)


@given(st.sampled_from(sorted(PAIRS)), st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.data())
def test_luma_beside_chroma_comes_back_exactly(encoding, height, width, padding, data):
    luma, chroma = data.draw(hnp.arrays(np.uint8, (2, height, width)))
    pixels = np.stack([luma, chroma] if PAIRS[encoding] == 0 else [chroma, luma], axis=2)
    step, stored_bytes = stored(pixels.reshape(height, -1), padding, False)
    decoded = decode(encoding, height, width, step, stored_bytes)
    np.testing.assert_array_equal(decoded, luma)
    assert decoded.flags.c_contiguous


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.data())
def test_luma_above_chroma_comes_back_exactly(height, width, padding, data):
    rows = data.draw(hnp.arrays(np.uint8, (height + (height + 1) // 2, width)))
    step, stored_bytes = stored(rows, padding, False)
    np.testing.assert_array_equal(decode("nv12", height, width, step, stored_bytes), rows[:height])
    with pytest.raises(FrameError) as caught:
        decode("nv12", height, width, step, stored_bytes[:-1])
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("encoding, pair", PAIRS.items())
def test_luma_is_what_opencv_takes_for_grey(encoding, pair):
    pixels = np.random.default_rng(2).integers(0, 256, (6, 8, 2), np.uint8)
    code = cv2.COLOR_YUV2GRAY_UYVY if pair else cv2.COLOR_YUV2GRAY_YUY2
    decoded = decode(encoding, 6, 8, 16, pixels.tobytes())
    np.testing.assert_array_equal(decoded, cv2.cvtColor(pixels, code))


@given(
    st.sampled_from(sorted(ENCODINGS)),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 200),
    st.binary(max_size=600),
    st.integers(0, 1),
)
def test_any_fields_give_a_grey_frame_of_their_size_or_a_refusal(encoding, height, width, step, data, big):
    try:
        frame = decode(encoding, height, width, step, data, big)
    except FrameError as error:
        assert error.reason in ("size", "step", "truncated", "nan")
    else:
        assert frame.shape == (height, width) and frame.dtype in (np.uint8, np.uint16, np.float32)


@pytest.mark.parametrize(
    "buffer",
    [
        bytes,
        bytearray,
        lambda data: array.array("B", data),
        lambda data: np.frombuffer(data, np.uint8),
        memoryview,
    ],
)
def test_native_frames_are_views_on_any_buffer(buffer):
    frame = np.arange(12, dtype=np.uint16).reshape(3, 4)
    data = buffer(frame.tobytes())
    decoded = decode("mono16", 3, 4, 8, data, int(sys.byteorder == "big"))
    assert np.shares_memory(decoded, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    "reason, fields",
    [
        ("encoding", ("bayer_rggb8", 4, 4, 4, bytes(16))),
        ("size", ("mono8", 0, 4, 4, b"")),
        ("size", ("mono8", 4, 0, 0, b"")),
        ("size", ("mono8", MAX_SIDE + 1, 1, 1, bytes(MAX_SIDE + 1))),
        ("size", ("32FC1", 2**32 - 1, 2**32 - 1, 2**32 - 1, bytes(16))),
        ("step", ("mono16", 4, 4, 7, bytes(32))),
        ("step", ("rgb8", 4, 4, 4, bytes(64))),
        ("step", ("mono8", 4, 4, 4, bytes(20))),
        ("truncated", ("mono8", 4, 4, 4, bytes(15))),
        ("truncated", ("mono8", 4, 4, 2**31, bytes(16))),
        ("truncated", ("mono16", MAX_SIDE, MAX_SIDE, MAX_SIDE * 2, bytes(8))),
    ],
)
def test_frames_that_lie_are_refused_with_their_reason(reason, fields):
    with pytest.raises(FrameError) as caught:
        decode(*fields)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("big", [0, 1])
def test_floats_that_are_no_numbers_are_refused_and_counted(value, big):
    frame = np.zeros((4, 4), np.float32)
    frame[1, 2] = frame[3, 3] = value
    step, data = stored(frame, 0, bool(big))
    with pytest.raises(FrameError, match="2 NaN or infinite") as caught:
        decode("32FC1", 4, 4, step, data, big)
    assert caught.value.reason == "nan"


def test_a_buffer_rounded_up_by_less_than_a_row_is_accepted():
    np.testing.assert_array_equal(
        decode("mono8", 2, 4, 4, bytes(range(11))), np.arange(8, dtype=np.uint8).reshape(2, 4)
    )


@pytest.mark.parametrize(
    "frame, encoding",
    [
        (np.zeros((4, 4), np.uint16), "mono8"),
        (np.zeros((4, 4), np.float64), "32FC1"),
        (np.zeros((4, 4), np.uint8), "bgr8"),
        (np.zeros((4, 4, 4), np.uint8), "bgr8"),
        (np.zeros((4, 4), np.uint8), "yuv444"),
        (np.zeros((4, 4, 2), np.uint8), "uyvy"),
        (np.zeros((4, 4), np.uint8), "nv12"),
    ],
)
def test_filling_refuses_what_the_encoding_does_not_say(frame, encoding):
    with pytest.raises(FrameError) as caught:
        fill_message(SimpleNamespace(), frame, encoding)
    assert caught.value.reason == "encoding"


def test_every_encoding_is_covered_here():
    assert set(ENCODINGS) == set(GREY) | set(COLOUR) | set(PAIRS) | {"nv12"}


def test_a_large_frame_is_decoded_without_a_copy():
    data = bytes(640 * 512 * 2)
    frame = decode("mono16", 512, 640, 1280, data)
    assert np.shares_memory(frame, np.frombuffer(data, np.uint8))
