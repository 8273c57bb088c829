"""The message, where mavros_msgs is installed."""

import math

import pytest

from dsad_msgs.msg import Track, TrackArray

pytest.importorskip("mavros_msgs", reason="mavros_msgs is not installed")

from mavros_msgs.msg import LandingTarget  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402

from dsad_mavros.landing_target import landing_target  # noqa: E402


def array(bearing_frame="camera", state=Track.CONFIRMED, best=1):
    message = TrackArray(bearing_frame=bearing_frame, best=best)
    message.header.frame_id = "camera"
    message.header.stamp.sec = 12
    best_one = Track(id=7, state=state, has_bearing=True, angular_width=0.02, angular_height=0.01)
    best_one.bearing.x, best_one.bearing.y, best_one.bearing.z = math.sin(0.3), 0.0, math.cos(0.3)
    message.tracks = [Track(id=1, state=Track.TENTATIVE), best_one]
    return message


def test_the_best_track_is_sent_as_angles_without_a_position():
    sent = landing_target(array(), True, 4, LandingTarget.VISION_OTHER)
    back = deserialize_message(serialize_message(sent), LandingTarget)
    assert back.angle.tolist() == pytest.approx([0.3, 0.0]) and back.size.tolist() == pytest.approx(
        [0.02, 0.01]
    )
    assert (back.target_num, back.frame, back.type, back.distance) == (4, 0, 3, 0.0)
    assert back.header == array().header


def test_a_body_s_direction_gets_the_body_s_angles():
    message = array("base_link")
    bearing = message.tracks[1].bearing
    bearing.x, bearing.y, bearing.z = 0.0, -math.sin(0.1), -math.cos(0.1)
    assert landing_target(message, True, 0, 3).angle.tolist() == pytest.approx([0.1, 0.0])


@pytest.mark.parametrize("message", [array(best=-1), array(best=0), array(state=Track.COASTING)])
def test_what_has_no_bearing_or_coasts_is_not_sent(message):
    assert landing_target(message, False, 0, 3) is None
