"""Decoding, and the way through cv_bridge; a stand-in takes its place where it is not installed."""

import array
import sys
import types

import numpy as np
import pytest
from sensor_msgs.msg import Image

from dsad_core.errors import FrameError
from dsad_detector import frames


def image(encoding: str, height: int = 4, width: int = 6, size: int = 48) -> Image:
    return Image(
        height=height, width=width, encoding=encoding, step=width * 2, data=array.array("B", bytes(size))
    )


@pytest.fixture
def bridge(monkeypatch):
    """Function that installs a CvBridge whose ``imgmsg_to_cv2`` is the one given, or none."""

    def install(convert) -> None:
        module = types.ModuleType("cv_bridge")
        if convert is not None:
            module.CvBridge = type("CvBridge", (), {"imgmsg_to_cv2": staticmethod(convert)})
        # A module without CvBridge raises ImportError on import of the name, as a missing one does.
        monkeypatch.setitem(sys.modules, "cv_bridge", module)
        frames._cv_bridge.cache_clear()

    yield install
    frames._cv_bridge.cache_clear()


def never(message, desired_encoding):
    raise AssertionError("cv_bridge is for encodings that the codec has not")


def test_our_own_encodings_never_touch_cv_bridge(bridge):
    bridge(never)
    assert frames.decode_frame(image("mono16")).dtype == np.uint16
    with pytest.raises(FrameError) as caught:
        frames.decode_frame(image("mono16", size=47))
    assert caught.value.reason == "truncated"


def test_without_cv_bridge_an_unknown_encoding_is_named(bridge):
    bridge(None)
    with pytest.raises(FrameError, match="'bayer_rggb8'.*cv_bridge, which is not installed") as caught:
        frames.decode_frame(image("bayer_rggb8"))
    assert caught.value.reason == "encoding"


@pytest.mark.parametrize(
    "encoding, wanted, dtype", [("bayer_rggb8", "mono8", np.uint8), ("bayer_rggb16", "mono16", np.uint16)]
)
def test_cv_bridge_converts_to_grey_of_the_same_depth(bridge, encoding, wanted, dtype):
    def convert(message, desired_encoding):
        assert (message.encoding, desired_encoding) == (encoding, wanted)
        return np.full((4, 6), 7, dtype)

    bridge(convert)
    frame = frames.decode_frame(image(encoding))
    assert frame.dtype == dtype and (frame == 7).all()


def test_what_cv_bridge_cannot_do_or_does_wrong_is_a_refused_frame(bridge):
    def refuse(message, desired_encoding):
        raise RuntimeError("[32SC1] is not a\ncolor format")

    bridge(refuse)
    with pytest.raises(FrameError, match=r"'32SC1' into mono8: \[32SC1\] is not a color format"):
        frames.decode_frame(image("32SC1"))
    bridge(lambda message, desired_encoding: np.zeros((4, 12), np.uint8))
    with pytest.raises(FrameError, match="does not fit this NumPy"):
        frames.decode_frame(image("bayer_rggb16"))
    bridge(never)
    with pytest.raises(FrameError) as caught:
        frames.decode_frame(image("bayer_rggb8", height=0))
    assert caught.value.reason == "size"
