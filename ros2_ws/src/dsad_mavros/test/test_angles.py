"""The angles, against directions that are known by themselves."""

import math

import pytest

from dsad_mavros.angles import body_angles, optical_angles


def test_a_camera_s_own_angles_grow_to_the_right_and_downwards():
    assert optical_angles(0.0, 0.0, 1.0) == (0.0, 0.0)
    assert optical_angles(1.0, 0.0, 1.0) == pytest.approx((math.pi / 4, 0.0))
    assert optical_angles(0.0, math.tan(0.1), 1.0) == pytest.approx((0.0, 0.1))
    assert optical_angles(0.0, 0.0, -1.0) is None


def test_of_a_body_straight_down_is_nothing_and_ahead_is_up_in_the_picture():
    assert body_angles(0.0, 0.0, -1.0) == (0.0, 0.0)
    assert body_angles(0.0, -math.tan(0.2), -1.0) == pytest.approx((0.2, 0.0)), "to the right"
    assert body_angles(math.tan(0.2), 0.0, -1.0) == pytest.approx((0.0, -0.2)), "ahead"
    assert body_angles(1.0, 0.0, 0.0) is None, "the horizon"
