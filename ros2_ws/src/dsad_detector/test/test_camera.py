import numpy as np
from dsad_core.targets import Target
from dsad_detector.camera import Camera
from sensor_msgs.msg import CameraInfo

TARGETS = [Target(10.5, 20.25, 9, 19, 3, 3, 9, 0.9), Target(100.0, 50.0, 99, 49, 3, 3, 9, 0.8)]


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
    camera = Camera()
    camera.update(calibration())
    rays = np.array([[(t.x - 80.0) / 300.0, (t.y - 60.0) / 310.0, 1.0] for t in TARGETS])
    np.testing.assert_allclose(
        camera.bearings(TARGETS, 120, 160), rays / np.linalg.norm(rays, axis=1, keepdims=True), atol=1e-9
    )


def test_no_bearings_without_a_calibration_for_this_size():
    camera = Camera()
    assert camera.bearings(TARGETS, 120, 160) is None
    camera.update(calibration())
    assert camera.bearings(TARGETS, 160, 120) is None
    assert camera.bearings([], 120, 160) is None
    camera.update(calibration(k=[0.0] * 9))
    assert camera.bearings(TARGETS, 120, 160) is None
    assert camera.fault == ""


def test_a_calibration_that_cannot_be_used_is_named():
    camera = Camera()
    camera.update(calibration(d=[0.1, 0.2]))
    assert camera.bearings(TARGETS, 120, 160) is None
    assert "2 coefficients" in camera.fault
    camera.update(calibration())
    assert camera.fault == ""
    assert camera.bearings(TARGETS, 120, 160) is not None
