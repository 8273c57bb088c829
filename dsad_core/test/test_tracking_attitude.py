"""Motion from a gyroscope, against a camera whose turning is known, and against tracks through it."""

import numpy as np
import pytest

from dsad_core.targets import Target
from dsad_core.tracking import Follower, MotionState
from dsad_core.tracking.attitude import AHEAD_S, AttitudeMotion, Gyroscope

SIZE = (256, 320)
K = np.array([[400.0, 0.0, 160.0], [0.0, 400.0, 128.0], [0.0, 0.0, 1.0]])
SECOND = 1_000_000_000
START = 5 * SECOND
#: IMU with x forward, y left, z up, camera looking forward.
BODY_TO_CAMERA = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
EMPTY = np.zeros(SIZE, np.uint8)


def gyroscope(rate, seconds=1.0, hz=200, mounting=None, start=START):
    gyro = Gyroscope(np.eye(3) if mounting is None else mounting)
    for index in range(round(seconds * hz) + 1):
        at = index / hz
        gyro.add(start + round(at * SECOND), rate(at) if callable(rate) else rate)
    return gyro


def test_a_turn_to_the_right_moves_the_picture_to_the_left():
    # Yaw is negative about z up where the vehicle turns right.
    gyro = gyroscope((0.0, 0.0, -0.2), mounting=BODY_TO_CAMERA)
    motion = AttitudeMotion(gyro.between, lambda height, width: K)
    assert not motion.update(EMPTY, (), START).known and motion.failures == 0
    found = motion.update(EMPTY, (), START + SECOND // 25)
    moved = found.carry(np.array([[160.0, 128.0]]))[0]
    assert moved == pytest.approx([160.0 - 400 * np.tan(0.2 * 0.04), 128.0], abs=1e-3)
    assert found.matrix @ (160.0, 128.0, 1.0) == pytest.approx(moved, abs=0.01)
    assert found.known and found.sigma_px < 0.5


def test_a_roll_turns_the_picture_about_its_centre():
    gyro = gyroscope((0.0, 0.0, 0.5))
    motion = AttitudeMotion(gyro.between, lambda height, width: K)
    motion.update(EMPTY, (), START)
    found = motion.update(EMPTY, (), START + SECOND // 10)
    # The camera turns clockwise (z forward), so what is on its right goes up.
    assert found.carry(np.array([[260.0, 128.0]]))[0] == pytest.approx(
        [160 + 100 * np.cos(0.05), 128 - 100 * np.sin(0.05)], abs=0.01
    )


def test_a_rate_that_changes_is_integrated_between_its_samples():
    gyro = gyroscope(lambda at: (0.0, 2.0 * at, 0.0), hz=50)
    turn = gyro.between(START + 303_000_000, START + 507_000_000)
    angle = 0.507**2 - 0.303**2
    assert np.arcsin(turn[2, 0]) == pytest.approx(angle, abs=1e-6)


def test_what_the_rates_do_not_cover_is_unknown():
    gyro = gyroscope((0.0, 0.1, 0.0))
    end = START + SECOND
    assert gyro.between(START, end + round(AHEAD_S * SECOND)) is not None
    assert gyro.between(START, end + round(2 * AHEAD_S * SECOND)) is None
    assert gyro.between(START - 1, end) is None
    gyro.add(end + SECOND, (0.0, 0.1, 0.0))
    assert gyro.between(end, end + SECOND) is None, "a gap of a second"
    motion = AttitudeMotion(gyro.between, lambda height, width: None)
    motion.update(EMPTY, (), START)
    assert not motion.update(EMPTY, (), START + 1).known and motion.failures == 1
    spins = AttitudeMotion(gyroscope((0.0, 9.0, 0.0)).between, lambda height, width: K)
    spins.update(EMPTY, (), START)
    assert not spins.update(EMPTY, (), START + SECOND // 10).known


def test_a_target_that_the_pan_carries_along_is_still():
    """A lamp stands in the scene while the camera pans: without its motion the tracker would call it moving."""
    states = {}
    for name, rate in (("told", 0.1), ("not told", 0.0)):
        gyro = gyroscope((0.0, rate, 0.0), seconds=2.0)
        follower = Follower(motion=AttitudeMotion(gyro.between, lambda height, width: K))
        for index in range(45):
            at = index / 25
            x = 160.0 - 400 * np.tan(0.1 * (at - 0.9))
            target = Target(x, 128.0, round(x) - 1, 127, 3, 3, 9, 0.9, 2.2)
            logits = np.full(SIZE, -9.0, np.float32)
            stamp = START + round(at * SECOND)
            tracks = follower.update(EMPTY, stamp, [target], EMPTY, logits, 0.5)
        states[name] = tracks[0].motion
    assert states == {"told": MotionState.STILL, "not told": MotionState.MOVING}
