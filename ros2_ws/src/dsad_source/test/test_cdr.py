import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo

from dsad_common.stamps import stamp_ns, to_stamp
from dsad_source.cdr import read_stamp, replace_stamp

STAMPS = st.integers(0, (2**31 - 1) * 10**9 + 999_999_999)


@given(STAMPS, STAMPS)
def test_agrees_with_the_middleware(before, after):
    info = CameraInfo(width=640, height=512, k=[float(n) for n in range(9)])
    info.header.stamp, info.header.frame_id = to_stamp(before), "camera"
    data = serialize_message(info)
    assert read_stamp(data) == before

    changed = deserialize_message(replace_stamp(data, after), CameraInfo)
    assert stamp_ns(changed.header.stamp) == after
    changed.header.stamp = info.header.stamp
    assert changed == info


@given(STAMPS, st.binary(max_size=30))
def test_big_endian(stamp, rest):
    seconds, nanoseconds = divmod(stamp, 10**9)
    data = b"\x00\x00\x00\x00" + seconds.to_bytes(4, "big") + nanoseconds.to_bytes(4, "big") + rest
    assert read_stamp(data) == stamp
    assert replace_stamp(replace_stamp(data, 0), stamp) == data


def test_too_short():
    with pytest.raises(ValueError, match="7 bytes"):
        read_stamp(b"\x00\x01\x00\x00\x00\x00\x00")
