import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo

from dsad_core.targets import Target
from dsad_detector.camera_info_buffer import CameraInfoBuffer

TARGETS = [Target(10.5, 20.25, 9, 19, 3, 3, 9, 0.9, 2.0), Target(100.0, 50.0, 99, 49, 3, 3, 9, 0.8, 2.0)]


def calibration(**fields) -> CameraInfo:
    return CameraInfo(
        **{
            "height": 120,
            "width": 160,
            "distortion_model": "plumb_bob",
            "d": [0.0] * 5,
            "k": [300.0, 0.0, 80.0, 0.0, 310.0, 60.0, 0.0, 0.0, 1.0],
        }
        | fields
    )


def test_bearings_are_unit_vectors_through_the_pixels():
    camera = CameraInfoBuffer()
    camera.update(calibration())
    rays = np.array([[(t.x - 80.0) / 300.0, (t.y - 60.0) / 310.0, 1.0] for t in TARGETS])
    np.testing.assert_allclose(
        camera.bearings(TARGETS, 120, 160), rays / np.linalg.norm(rays, axis=1, keepdims=True), atol=1e-9
    )


def test_no_bearings_without_a_calibration_for_this_size():
    camera = CameraInfoBuffer()
    assert camera.bearings(TARGETS, 120, 160) is None
    camera.update(calibration())
    assert camera.bearings(TARGETS, 160, 120) is None
    assert camera.bearings([], 120, 160) is None
    camera.update(calibration(k=[0.0] * 9))
    assert camera.bearings(TARGETS, 120, 160) is None
    assert camera.fault == ""


def test_a_calibration_that_cannot_be_used_is_named():
    camera = CameraInfoBuffer()
    camera.update(calibration(d=[0.1, 0.2]))
    assert camera.bearings(TARGETS, 120, 160) is None
    assert "2 coefficients" in camera.fault
    camera.update(calibration())
    assert camera.bearings(TARGETS, 120, 160) is not None
    assert camera.fault == ""


@pytest.mark.parametrize(
    "bad", [{"d": [float("nan")] * 5}, {"k": [300.0, 0, float("inf"), 0, 310, 60, 0, 0, 1]}]
)
def test_numbers_that_are_not_finite_give_no_bearings_and_a_fault(bad):
    camera = CameraInfoBuffer()
    camera.update(calibration(**bad))
    assert camera.bearings(TARGETS, 120, 160) is None
    assert "not finite" in camera.fault


def test_a_calibration_of_another_size_is_a_fault():
    camera = CameraInfoBuffer()
    camera.update(calibration())
    assert camera.bearings(TARGETS, 160, 120) is None
    assert "it is of frames of 160x120" in camera.fault and "frames are 120x160" in camera.fault


def test_a_target_outside_of_the_calibration_has_no_bearing_and_the_others_have():
    camera = CameraInfoBuffer()
    k = [60.0, 0.0, 80.0, 0.0, 60.0, 60.0, 0.0, 0.0, 1.0]
    camera.update(calibration(k=k, d=[-0.45, 0.2, 0.0, 0.0, -0.03]))
    corner = Target(0.0, 0.0, 0, 0, 1, 1, 1, 0.9, 2.0)
    found = camera.bearings([corner, Target(90.0, 60.0, 89, 59, 3, 3, 9, 0.8, 2.0)], 120, 160)
    assert np.isnan(found[0]).all() and found[1][0] > 0
    assert camera.fault.startswith("1 of 2 targets have no bearing")
    camera.bearings([TARGETS[0]], 120, 160, Time(sec=9))
    camera.bearings([], 120, 160)
    assert camera.fault == ""


def test_a_frame_takes_the_calibration_of_its_own_stamp():
    camera = CameraInfoBuffer()
    for second, focal in ((1, 300.0), (2, 600.0)):
        info = calibration(k=[focal, 0.0, 80.0, 0.0, focal, 60.0, 0.0, 0.0, 1.0])
        info.header.stamp.sec = second
        camera.update(info)
    first = camera.bearings(TARGETS, 120, 160, Time(sec=1))
    second = camera.bearings(TARGETS, 120, 160, Time(sec=2))
    unknown = camera.bearings(TARGETS, 120, 160, Time(sec=3))
    assert abs(first[0, 0]) > abs(second[0, 0])
    np.testing.assert_array_equal(unknown, second)


def test_rectified_frames_take_the_projection():
    camera = CameraInfoBuffer(rectified=True)
    p = [150.0, 0.0, 80.0, 0.0, 0.0, 150.0, 60.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    camera.update(calibration(d=[-0.4, 0.2, 0.0, 0.0, 0.0], p=p))
    ray = camera.bearings([Target(230.0, 60.0, 0, 0, 1, 1, 1, 0.9, 2.0)], 120, 160)[0]
    np.testing.assert_allclose(ray, np.array([1, 0, 1]) / np.sqrt(2))
