from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.errors import UsageError
from dsad_core.frame.camera_model import CameraModel, camera_model

K = (400.0, 0.0, 318.5, 0.0, 410.0, 255.5, 0.0, 0.0, 1.0)
DISTORTIONS = [
    ("plumb_bob", (-0.31, 0.12, 0.001, -0.0007, -0.02)),
    ("plumb_bob", (0.05, -0.02, 0.0, 0.0)),
    ("rational_polynomial", (0.2, -0.1, 0.0005, 0.0003, 0.01, 0.25, -0.05, 0.004)),
    ("equidistant", (0.02, -0.01, 0.004, -0.001)),
]


def info(**fields):
    roi = {"x_offset": 0, "y_offset": 0, "width": 0, "height": 0} | fields.pop("roi", {})
    return SimpleNamespace(
        **{
            "width": 640,
            "height": 512,
            "k": K,
            "d": (),
            "p": (0.0,) * 12,
            "distortion_model": "plumb_bob",
            "binning_x": 0,
            "binning_y": 0,
        }
        | fields,
        roi=SimpleNamespace(**roi),
    )


@pytest.mark.parametrize("model, d", DISTORTIONS)
@given(x=st.floats(0, 639), y=st.floats(0, 511))
def test_a_bearing_projects_back_to_its_pixel(model, d, x, y):
    (ray,) = CameraModel(K, d, model).bearings([x], [y])
    assert np.linalg.norm(ray) == pytest.approx(1.0)
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    still = np.zeros((1, 1, 3)) if model == "equidistant" else np.zeros(3)
    points, _ = project(ray.reshape(1, 1, 3), still, still, np.array(K).reshape(3, 3), np.array(d))
    np.testing.assert_allclose(points.ravel(), (x, y), atol=1e-4)


@pytest.mark.parametrize("model", ["", "plumb_bob", "rational_polynomial", "equidistant"])
def test_the_principal_point_looks_straight_ahead(model):
    np.testing.assert_allclose(CameraModel(K, (), model).bearings([K[2]], [K[5]]), [(0, 0, 1)], atol=1e-12)


def test_right_is_positive_x_and_down_positive_y():
    (ray,) = CameraModel(K).bearings([K[2] + K[0]], [K[5] + K[4]])
    np.testing.assert_allclose(ray, np.ones(3) / np.sqrt(3))


def test_a_skewed_sensor_is_straightened():
    skewed = (400.0, 40.0, 318.5, 0.0, 410.0, 255.5, 0.0, 0.0, 1.0)
    (ray,) = CameraModel(skewed).bearings([318.5 + 40.0], [255.5 + 410.0])
    np.testing.assert_allclose(ray, np.array([0, 1, 1]) / np.sqrt(2), atol=1e-9)


@pytest.mark.parametrize("model, d", [*DISTORTIONS, ("plumb_bob", ())])
def test_no_pixels_have_no_bearings(model, d):
    assert CameraModel(K, d, model).bearings([], []).shape == (0, 3)


def test_beyond_the_radius_that_can_be_undone_there_is_no_bearing():
    # The corner came out in the opposite quadrant, and projects back to its pixel exactly.
    wide = CameraModel((250.0, 0, 320.0, 0, 250.0, 256.0, 0, 0, 1), (-0.45, 0.2, 0.0, 0.0, -0.03))
    corner, middle, edge = wide.bearings([0.0, 320.0, 500.0], [0.0, 256.0, 300.0])
    assert np.isnan(corner).all()
    assert middle[2] == pytest.approx(1.0) and edge[0] > 0 and edge[1] > 0


@given(st.floats(-0.6, 0.6), st.floats(-0.4, 0.4), st.floats(-0.1, 0.1), st.floats(0, 639), st.floats(0, 511))
def test_a_bearing_is_in_its_pixels_quadrant_or_is_none(k1, k2, k3, x, y):
    (ray,) = CameraModel((250.0, 0, 320.0, 0, 250.0, 256.0, 0, 0, 1), (k1, k2, 0.0, 0.0, k3)).bearings(
        [x], [y]
    )
    if not np.isnan(ray).any():
        assert ray[0] * (x - 320.0) >= -1e-9 and ray[1] * (y - 256.0) >= -1e-9


@pytest.mark.parametrize(
    "k, d, model, word",
    [
        ((0.0,) * 9, (), "plumb_bob", "need a calibration"),
        ((400.0, *K[1:4], 0.0, *K[5:]), (), "plumb_bob", "need a calibration"),
        ((np.nan, *K[1:]), (), "plumb_bob", "K holds a number that is not finite"),
        (K, (np.inf, 0, 0, 0), "plumb_bob", "D holds a number that is not finite"),
        (K, (0.1,), "plumb_bob", "1 coefficients"),
        (K, (0.1,) * 5, "equidistant", "5 coefficients"),
        (K, (), "thin_prism", "thin_prism"),
    ],
)
def test_cameras_it_cannot_use_are_named(k, d, model, word):
    with pytest.raises(UsageError, match=word):
        CameraModel(k, d, model)


def test_binning_and_a_region_are_undone():
    whole = camera_model(info(d=DISTORTIONS[0][1]), 512, 640)
    binned = camera_model(info(d=DISTORTIONS[0][1], binning_x=2, binning_y=4), 128, 320)
    region = camera_model(
        info(d=DISTORTIONS[0][1], roi={"x_offset": 100, "y_offset": 50, "width": 200, "height": 120}),
        120,
        200,
    )
    (expected,) = whole.bearings([200.0], [100.0])
    np.testing.assert_allclose(binned.bearings([100.0], [25.0])[0], expected, atol=1e-9)
    np.testing.assert_allclose(region.bearings([100.0], [50.0])[0], expected, atol=1e-9)


@pytest.mark.parametrize("fields", [{}, {"binning_x": 2}, {"roi": {"width": 320, "height": 256}}])
def test_a_calibration_of_another_size_is_refused_with_both(fields):
    with pytest.raises(UsageError, match="frames are 123x45"):
        camera_model(info(**fields), 45, 123)


def test_rectified_frames_take_the_projection_without_distortion():
    p = (300.0, 0.0, 310.0, -30.0, 0.0, 305.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    rectified = camera_model(info(d=DISTORTIONS[0][1], p=p), 512, 640, rectified=True)
    (ray,) = rectified.bearings([610.0], [250.0])
    np.testing.assert_allclose(ray, np.array([1, 0, 1]) / np.sqrt(2), atol=1e-9)
    with pytest.raises(UsageError, match="no projection matrix"):
        camera_model(info(), 512, 640, rectified=True)
