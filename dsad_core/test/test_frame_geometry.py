import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.errors import UsageError
from dsad_core.frame.geometry import bearing, padded_size

K = (400.0, 0.0, 318.5, 0.0, 410.0, 255.5, 0.0, 0.0, 1.0)
DISTORTIONS = [
    ("plumb_bob", (-0.31, 0.12, 0.001, -0.0007, -0.02)),
    ("plumb_bob", (0.05, -0.02, 0.0, 0.0)),
    ("rational_polynomial", (0.2, -0.1, 0.0005, 0.0003, 0.01, 0.25, -0.05, 0.004)),
    ("equidistant", (0.02, -0.01, 0.004, -0.001)),
]


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 64))
def test_padding_is_the_least_that_fits(height, width, multiple):
    padded = padded_size(height, width, multiple)
    for side, full in zip((height, width), padded):
        assert full % multiple == 0 and side <= full < side + multiple


@pytest.mark.parametrize("model, d", DISTORTIONS)
@given(x=st.floats(0, 639), y=st.floats(0, 511))
def test_a_bearing_projects_back_to_its_pixel(model, d, x, y):
    ray = bearing(x, y, K, d, model)
    assert np.linalg.norm(ray) == pytest.approx(1.0)
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    still = np.zeros((1, 1, 3)) if model == "equidistant" else np.zeros(3)
    points, _ = project(ray.reshape(1, 1, 3), still, still, np.array(K).reshape(3, 3), np.array(d))
    np.testing.assert_allclose(points.ravel(), (x, y), atol=1e-5)


@pytest.mark.parametrize("model", ["", "plumb_bob", "rational_polynomial", "equidistant"])
def test_the_principal_point_looks_straight_ahead(model):
    np.testing.assert_allclose(bearing(K[2], K[5], K, (), model), (0, 0, 1), atol=1e-12)


def test_right_is_positive_x_and_down_positive_y():
    ray = bearing(K[2] + K[0], K[5] + K[4], K, ())
    np.testing.assert_allclose(ray, np.ones(3) / np.sqrt(3))


def test_many_pixels_at_once_are_the_same_as_one_by_one():
    xs, ys = [0.0, 300.5, 639.0], [511.0, 12.25, 0.0]
    model, d = DISTORTIONS[0]
    together = bearing(xs, ys, K, d, model)
    assert together.shape == (3, 3)
    for x, y, ray in zip(xs, ys, together):
        np.testing.assert_allclose(bearing(x, y, K, d, model), ray, atol=1e-9)


@pytest.mark.parametrize("model, d", [*DISTORTIONS, ("plumb_bob", ())])
def test_no_pixels_have_no_bearings(model, d):
    assert bearing([], [], K, d, model).shape == (0, 3)


@pytest.mark.parametrize(
    "k, d, model, word",
    [
        ((0.0,) * 9, (), "plumb_bob", "uncalibrated"),
        (K, (0.1,), "plumb_bob", "1 coefficients"),
        (K, (0.1,) * 5, "equidistant", "5 coefficients"),
        (K, (), "thin_prism", "thin_prism"),
    ],
)
def test_cameras_it_cannot_use_are_named(k, d, model, word):
    with pytest.raises(UsageError, match=word):
        bearing(1.0, 1.0, k, d, model)
