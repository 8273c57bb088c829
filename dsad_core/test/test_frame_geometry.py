import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.errors import UsageError
from dsad_core.frame.geometry import padded_size, parse_size


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 64))
def test_padding_is_the_least_that_fits(height, width, multiple):
    padded = padded_size(height, width, multiple)
    for side, full in zip((height, width), padded):
        assert full % multiple == 0 and side <= full < side + multiple


@pytest.mark.parametrize(
    "text, size", [("640x512", (512, 640)), (" 96X128 ", (128, 96)), ("1x16384", (16384, 1))]
)
def test_a_size_is_width_by_height(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "640", "640x", "0x512", "640x99999", "-1x5", "640 512", "6.4x5", "1x2x3"]
)
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(UsageError, match="frame_size .* is not WIDTHxHEIGHT .* such as 640x512"):
        parse_size(text, "frame_size")
