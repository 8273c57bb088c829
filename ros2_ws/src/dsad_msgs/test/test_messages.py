"""The generated classes survive a trip through the middleware's own serialisation."""

import math

from rclpy.serialization import deserialize_message, serialize_message

from dsad_msgs.msg import (
    DetectionMetrics,
    EngineInfo,
    FrameTiming,
    MetricsSummary,
    Target,
    TargetArray,
    Track,
    TrackArray,
)


def round_trip(message):
    return deserialize_message(serialize_message(message), type(message))


def test_target_array_keeps_header_and_targets():
    message = TargetArray(height=512, width=640)
    message.header.stamp.sec = 12
    message.header.stamp.nanosec = 999_999_999
    message.header.frame_id = "infrared_optical"
    message.targets.append(Target(x=1.25, y=-0.5, left=1, top=2, width=3, height=4, area=9, score=0.75))
    message.targets[0].has_bearing = True
    message.targets[0].bearing.z = 1.0
    assert round_trip(message) == message


def test_timing_holds_a_century_of_nanoseconds():
    century = 100 * 366 * 86_400 * 10**9
    message = FrameTiming(received=century, published=century + 1, frames_dropped=2**63)
    back = round_trip(message)
    assert back.published - back.received == 1
    assert back.frames_dropped == 2**63


def test_undefined_ratio_is_nan():
    message = DetectionMetrics(engine="dnanet", total=MetricsSummary(pd=math.nan))
    assert math.isnan(round_trip(message).total.pd)


def test_what_was_passed_over_keeps_its_order():
    message = EngineInfo(name="dnanet", width=640, height=512, passed_over=["tensorrt: none", "direct: none"])
    assert round_trip(message) == message


def test_track_array_keeps_every_field_of_a_track():
    message = TrackArray(height=512, width=640, frame_kind=TrackArray.SETTLING, frames_skipped=2**40)
    track = Track(id=2**60, state=Track.COASTING, motion=Track.MOVING, x=1.5, vx=-20.0, hits=7, target=-1)
    track.covariance[5] = 0.25
    message.tracks.append(track)
    back = round_trip(message)
    assert back == message and back.tracks[0].covariance[5] == 0.25
