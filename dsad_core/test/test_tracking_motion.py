"""The camera's motion from pairs of frames made by moving a known picture."""

import cv2
import numpy as np
import pytest

from dsad_core.targets import Target
from dsad_core.tracking import Motion, MotionEstimator


@pytest.fixture(scope="module")
def scene():
    """(900, 1000) float32 texture of several scales, mean 0, deviation 1."""
    rng = np.random.default_rng(0)
    total = np.zeros((900, 1000), np.float32)
    for sigma in (2.0, 6.0, 20.0):
        layer = cv2.GaussianBlur(rng.standard_normal(total.shape).astype(np.float32), (0, 0), sigma)
        total += layer / layer.std()
    return total / total.std()


def view(scene, matrix, dtype=np.uint8, level=110.0, gain=25.0, noise=1.0, seed=0, size=(640, 512)):
    """The scene through a camera that ``matrix`` (2, 3) moved: scene pixel -> frame pixel."""
    start = np.array([[1.0, 0.0, -150.0], [0.0, 1.0, -150.0]])
    full = np.vstack([matrix, [0, 0, 1]]) @ np.vstack([start, [0, 0, 1]])
    frame = cv2.warpAffine(scene, full[:2], size, flags=cv2.INTER_CUBIC) * gain + level
    frame += np.random.default_rng(seed).normal(0, noise, frame.shape)
    return np.clip(frame, 0, np.iinfo(dtype).max).astype(dtype)


def turned(degrees, scale, dx, dy):
    matrix = cv2.getRotationMatrix2D((320, 256), degrees, scale)
    matrix[:, 2] += dx, dy
    return matrix


CORNERS = np.array([[40.0, 40.0], [600.0, 40.0], [320.0, 256.0], [40.0, 470.0], [600.0, 470.0]])


@pytest.mark.parametrize(
    "matrix", [turned(0, 1, 3, 0), turned(0, 1, -0.4, 0.7), turned(1.0, 1.01, 5, -3), turned(0, 1, 20, 12)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_finds_shift_turn_and_zoom(scene, matrix, dtype):
    estimator = MotionEstimator()
    look = {"dtype": dtype, "level": 110 if dtype == np.uint8 else 7000}
    assert not estimator.update(view(scene, np.eye(2, 3), **look)).known
    motion = estimator.update(view(scene, matrix, seed=1, **look))
    assert motion.known and estimator.failures == 0
    truth = Motion(matrix, 0.0).carry(CORNERS)
    assert np.abs(motion.carry(CORNERS) - truth).max() < 0.35


def test_steps_of_level_and_gain_are_no_motion(scene):
    estimator = MotionEstimator()
    estimator.update(view(scene, np.eye(2, 3)))
    motion = estimator.update(view(scene, np.eye(2, 3), level=60, gain=15, seed=1))
    assert motion.known and np.abs(motion.carry(CORNERS) - CORNERS).max() < 0.2


def test_a_target_that_moves_by_itself_is_no_motion_of_the_camera(scene):
    estimator = MotionEstimator()
    frames = [view(scene, np.eye(2, 3), seed=seed) for seed in range(2)]
    boxes = [Target(330 + 8 * i, 230, 300 + 8 * i, 200, 60, 60, 3600, 0.9, 2.2) for i in range(2)]
    for frame, box in zip(frames, boxes):
        cv2.rectangle(frame, (box.left, box.top), (box.left + 60, box.top + 60), 255, 6)
    estimator.update(frames[0], boxes[:1])
    motion = estimator.update(frames[1], boxes[:1])
    assert motion.known and np.abs(motion.carry(CORNERS) - CORNERS).max() < 0.2


def test_a_burnt_in_logo_does_not_hold_the_picture_still(scene):
    estimator = MotionEstimator()
    for matrix in (np.eye(2, 3), turned(0, 1, 4, 1)):
        frame = view(scene, matrix, gain=6, noise=0.5)
        cv2.putText(frame, "CAMERA 12:30 REC", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 2)
        cv2.putText(frame, "I:0 V:0  LOGO (o)", (20, 490), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 2)
        motion = estimator.update(frame)
    assert motion.known and np.abs(motion.carry(CORNERS) - CORNERS - (4, 1)).max() < 0.35


@pytest.mark.parametrize("picture", ["flat", "noise"])
def test_without_texture_it_says_so(picture):
    rng = np.random.default_rng(3)
    estimator = MotionEstimator()
    for _ in range(4):
        flat = np.full((240, 320), 100, np.uint8)
        noisy = np.clip(rng.normal(100, 2, (240, 320)), 0, 255).astype(np.uint8)
        motion = estimator.update(flat if picture == "flat" else noisy)
        assert not motion.known and np.array_equal(motion.matrix, np.eye(2, 3))
    assert estimator.failures == 3


def test_a_change_of_size_starts_anew(scene):
    estimator = MotionEstimator()
    estimator.update(view(scene, np.eye(2, 3)))
    assert not estimator.update(view(scene, np.eye(2, 3), size=(320, 256))).known
    assert estimator.update(view(scene, turned(0, 1, 2, 0), size=(320, 256))).known
    estimator.reset()
    assert not estimator.update(view(scene, np.eye(2, 3), size=(320, 256))).known
    assert estimator.failures == 0
