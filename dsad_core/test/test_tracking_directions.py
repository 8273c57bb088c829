"""Directions of tracks against geometry that is known in closed form."""

import numpy as np
import pytest

from dsad_core.frame.camera_model import CameraModel
from dsad_core.frame.rotation import quaternion_matrix
from dsad_core.tracking.directions import directions
from dsad_core.tracking.track import MotionState, Track, TrackState

FOCAL = 500.0
MODEL = CameraModel((FOCAL, 0.0, 320.0, 0.0, FOCAL, 256.0, 0.0, 0.0, 1.0))


def track(x, y, sigma=(1.0, 1.0), size=(5.0, 3.0)):
    covariance = np.diag([sigma[0] ** 2, sigma[1] ** 2, 1.0, 1.0])
    return Track(
        1, TrackState.CONFIRMED, MotionState.MOVING, 1.0, 9, 0.0, x, y, 0.0, 0.0, covariance, 0.9,
        x - (size[0] - 1) / 2, y - (size[1] - 1) / 2, *size, 0,
    )  # fmt: skip


def test_on_the_axis_a_pixel_is_one_over_the_focal_length():
    found = directions(MODEL, [track(320.0, 256.0, sigma=(2.0, 1.0))], "camera")
    assert found.bearing[0] == pytest.approx([0.0, 0.0, 1.0])
    assert found.covariance[0] == pytest.approx(np.diag([4.0, 1.0, 0.0]) / FOCAL**2, rel=1e-4, abs=1e-12)
    assert found.size[0] == pytest.approx([5.0 / FOCAL, 3.0 / FOCAL], rel=1e-4)
    assert found.known.all() and found.frame_id == "camera"


def test_off_the_axis_the_covariance_agrees_with_sampled_positions():
    place, sigma = (600.0, 40.0), (1.5, 0.7)
    found = directions(MODEL, [track(*place, sigma)], "camera")
    points = np.random.default_rng(0).normal(place, sigma, (200_000, 2))
    sampled = np.cov(MODEL.bearings(points[:, 0], points[:, 1]).T)
    assert found.covariance[0] == pytest.approx(sampled, rel=0.03, abs=1e-8)
    assert found.covariance[0] @ found.bearing[0] == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)


def test_another_frame_turns_bearing_and_covariance_alike():
    found = directions(MODEL, [track(420.0, 256.0, sigma=(2.0, 1.0))], "camera")
    # An optical frame that looks forward on a body with x forward, y left, z up.
    body = found.turned(quaternion_matrix(-0.5, 0.5, -0.5, 0.5), "base_link")
    x, y, z = found.bearing[0]
    assert body.bearing[0] == pytest.approx([z, -x, -y]) and body.frame_id == "base_link"
    assert body.covariance[0, 1, 1] == pytest.approx(found.covariance[0, 0, 0])
    assert body.covariance[0, 2, 2] == pytest.approx(found.covariance[0, 1, 1])
    assert body.size == pytest.approx(found.size)


def test_a_direction_that_the_calibration_cannot_give_is_not_known():
    folded = CameraModel((200.0, 0.0, 320.0, 0.0, 200.0, 256.0, 0.0, 0.0, 1.0), (-0.4, 0.0, 0.0, 0.0))
    found = directions(folded, [track(320.0, 256.0), track(2000.0, 256.0)], "camera")
    assert found.known.tolist() == [True, False]
    assert directions(MODEL, [], "camera").bearing.shape == (0, 3)


def test_a_quaternion_that_is_no_rotation_is_refused():
    with pytest.raises(ValueError, match="no rotation"):
        quaternion_matrix(0.0, 0.0, 0.0, 0.0)
    assert quaternion_matrix(0.0, 0.0, 2.0, 2.0) @ (1.0, 0.0, 0.0) == pytest.approx([0.0, 1.0, 0.0])
