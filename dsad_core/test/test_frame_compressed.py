"""Compressed payloads: what OpenCV wrote comes back, what cannot be trusted is refused by its reason."""

import resource
import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.errors import FrameError
from dsad_core.frame.compressed import decode_compressed, peek_size


def packed(suffix, frame):
    return cv2.imencode(suffix, frame)[1].tobytes()


@pytest.fixture
def grey():
    return np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)


def test_png_comes_back_to_the_count(grey):
    assert np.array_equal(decode_compressed("mono8; png compressed mono8", packed(".png", grey)), grey)
    counts = grey.astype(np.uint16) * 60 + 7000
    back = decode_compressed("16UC1; png compressed", packed(".png", counts))
    assert back.dtype == np.uint16 and np.array_equal(back, counts)


def test_jpeg_and_colour_become_grey():
    smooth = np.tile(np.linspace(20, 220, 64).astype(np.uint8), (48, 1))
    back = decode_compressed("bgr8; jpeg compressed bgr8", packed(".jpg", cv2.merge([smooth] * 3)))
    assert back.shape == (48, 64) and np.abs(back.astype(int) - smooth).max() < 6
    assert decode_compressed("jpeg", packed(".jpg", smooth)).dtype == np.uint8


def test_the_size_is_read_from_the_head(grey):
    for suffix in (".png", ".jpg"):
        assert peek_size("x", packed(suffix, grey)) == (48, 64)


@pytest.mark.parametrize(
    "encoding, make, reason, words",
    [
        ("16UC1; jpeg compressed", lambda grey: packed(".jpg", grey), "encoding", "holds 8 bits"),
        ("mono16; jpeg compressed", lambda grey: packed(".jpg", grey), "encoding", "png"),
        ("h264", lambda grey: b"\0\0\0\1abc", "encoding", "republish"),
        ("mono8; png compressed", lambda grey: packed(".png", grey)[:20], "truncated", "head"),
        ("mono8; png compressed", lambda grey: packed(".png", grey)[:60], "truncated", "cut short"),
        ("jpeg", lambda grey: packed(".jpg", grey)[:10], "truncated", "no JPEG frame"),
        ("", lambda grey: b"", "encoding", "neither"),
    ],
)
def test_what_cannot_be_trusted_is_refused(grey, encoding, make, reason, words):
    with pytest.raises(FrameError, match=words) as caught:
        decode_compressed(encoding, make(grey))
    assert caught.value.reason == reason


@pytest.mark.parametrize("claimed", [0x7FFFFFFF, 1 << 20])
def test_a_png_that_claims_more_than_it_has_costs_neither_time_nor_memory(grey, claimed):
    whole = packed(".png", grey)
    head = len(b"\x89PNG\r\n\x1a\n") + 25  # of the file and of IHDR
    part = claimed.to_bytes(4, "big") + b"tEXt"
    begin, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FrameError, match="cut short"):
        decode_compressed("mono8; png compressed", whole[:head] + part + whole[head:])
    assert time.process_time() - begin < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 100 << 10
    # What follows the end of a file is none of its parts.
    assert decode_compressed("mono8; png compressed", whole + part).shape == grey.shape


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]))
def test_rubbish_is_refused_and_nothing_else_happens(rubbish, start):
    with pytest.raises(FrameError):
        decode_compressed("jpeg", start + rubbish)
