"""Frames that are no scene: made ones, and those of real recordings where they are at hand.

The recordings are FLIR Lepton files (CPTV); name their folder in DSAD_LEPTON and ``pip install cptv``.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from dsad_core.errors import UsageError
from dsad_core.frame.monitor import FrameKind, FrameMonitor, MonitorSettings

STEP = 33_000_000


def watch(frames, monitor=None, step=STEP):
    monitor = monitor or FrameMonitor()
    return [monitor.update(frame, 1 + index * step).value for index, frame in enumerate(frames)]


def drifting(dtype, frames=40):
    """A textured scene that drifts by 0.4 px a frame, with noise; (120, 160)."""
    rng = np.random.default_rng(2)
    wide = cv2.GaussianBlur(rng.normal(0, 1, (160, 240)).astype(np.float32), (0, 0), 5)
    gain, level, noise = (25, 110, 1.0) if dtype == "uint8" else (60, 7000, 2.5)
    wide = wide / wide.std() * gain + level
    shifts = (np.array([[1, 0, -0.4 * i], [0, 1, 0]], np.float32) for i in range(frames))
    views = (cv2.warpAffine(wide, shift, (160, 120)) + rng.normal(0, noise, (120, 160)) for shift in shifts)
    return [np.clip(view, 0, np.iinfo(dtype).max).astype(dtype) for view in views]


@pytest.fixture(scope="module", params=["uint8", "uint16"])
def scene(request):
    return drifting(request.param)


def test_a_scene_is_a_scene(scene):
    assert set(watch(scene)) == {"scene"}


def test_a_pan_is_a_scene():
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.normal(0, 1, (200, 1200)).astype(np.float32), (0, 0), 8)
    wide = wide / wide.std() * 30 + 110 + 0.05 * np.arange(1200)
    frames = [wide[:120, 12 * i : 12 * i + 160] + rng.normal(0, 1, (120, 160)) for i in range(60)]
    assert set(watch([np.clip(frame, 0, 255).astype(np.uint8) for frame in frames])) == {"scene"}


def test_a_frozen_camera_repeats_until_it_goes_on(scene):
    monitor = FrameMonitor()
    kinds = watch([*scene[:10], *[scene[9]] * 12, *scene[10:20]], monitor)
    assert kinds == ["scene"] * 10 + ["repeated"] * 12 + ["scene"] * 10
    assert monitor.counts[FrameKind.REPEATED] == 12


def test_the_shutter_and_what_follows(scene):
    level = np.median(scene[0])
    rng = np.random.default_rng(0)
    closed = [(level + rng.normal(0, 1.0, scene[0].shape)).astype(scene[0].dtype) for _ in range(8)]
    kinds = watch([*scene[:15], *closed, *scene[15:]])
    assert kinds[:15] == ["scene"] * 15 and kinds[15:23] == ["shutter"] * 8
    assert kinds[23:32] == ["settling"] * 9 and set(kinds[34:]) == {"scene"}


def test_a_step_of_the_level_settles(scene):
    top = np.iinfo(scene[0].dtype).max
    step = 35 if scene[0].dtype == np.uint8 else 200
    after = [np.clip(frame.astype(int) + step, 0, top).astype(frame.dtype) for frame in scene[15:]]
    kinds = watch([*scene[:15], *after])
    assert kinds[:15] == ["scene"] * 15 and kinds[15:24] == ["settling"] * 9 and set(kinds[26:]) == {"scene"}


def test_a_jump_of_the_gain_settles():
    scene = drifting("uint8", 30)
    after = [(frame * 0.6 + 40).astype(np.uint8) for frame in scene[15:]]
    kinds = watch([*scene[:15], *after])
    assert kinds[:15] == ["scene"] * 15 and kinds[15] == "settling" and kinds[-1] == "scene"


def test_a_camera_that_never_settles_is_taken_as_it_is(scene):
    top = np.iinfo(scene[0].dtype).max
    step = 60 if scene[0].dtype == np.uint8 else 400
    hunting = [
        np.clip(frame.astype(int) + step * (i % 2), 0, top).astype(frame.dtype)
        for i, frame in enumerate(scene * 4)
    ]
    assert "scene" in watch(hunting)[65:]


def test_what_the_driver_tells_goes_first(scene):
    monitor = FrameMonitor()
    assert watch(scene[:5], monitor)[-1] == "scene"
    monitor.announce(closed=True)
    assert monitor.update(scene[5], 6 * STEP) is FrameKind.SHUTTER
    assert monitor.update(scene[5], 6 * STEP + 1) is FrameKind.SHUTTER, "frozen, but told"
    monitor.announce(closed=False)
    assert monitor.update(scene[6], 7 * STEP) is FrameKind.SETTLING
    assert monitor.update(scene[7], 20 * STEP) is FrameKind.SCENE


def test_a_jump_of_the_stamps_or_another_size_starts_anew(scene):
    monitor = FrameMonitor()
    watch(scene[:10], monitor)
    assert monitor.update(scene[20] // 2, 1) is FrameKind.SCENE
    assert monitor.update(scene[21][:60], 2 * STEP) is FrameKind.SCENE


def test_settings_outside_their_range_are_refused():
    with pytest.raises(UsageError, match="settle_s 0"):
        MonitorSettings(settle_s=0)


@pytest.fixture(scope="module")
def recording():
    folder = os.environ.get("DSAD_LEPTON")
    if not folder:
        pytest.skip("DSAD_LEPTON names no folder of Lepton recordings")
    cptv = pytest.importorskip("cptv")

    def read(name):
        with open(Path(folder) / f"{name}.cptv", "rb") as stream:
            return [frame.pix.astype(np.uint16) for frame in cptv.CPTVReader(stream)]

    return read


@pytest.mark.parametrize("name", ["noise_01", "noise_02", "noise_03", "noise_05", "cat", "rat"])
def test_quiet_recordings_and_animals_stay_scenes(recording, name):
    assert set(watch(recording(name), step=111_000_000)) == {"scene"}


@pytest.mark.parametrize("name, at", [("hedgehog", 30), ("possum", 1)])
def test_real_corrections_are_found_once(recording, name, at):
    kinds = watch(recording(name), step=111_000_000)
    assert [index for index, kind in enumerate(kinds) if kind != "scene"] == [at, at + 1, at + 2]


def test_every_large_step_of_the_skyline_is_found(recording):
    frames = recording("skyline")
    kinds = watch(frames, step=111_000_000)
    change = [float(np.median(b.astype(int) - a)) for a, b in zip(frames, frames[1:])]
    for index, step in enumerate(change, start=1):
        if abs(step) > 60:
            assert kinds[index] == "settling", f"frame {index}, {step} counts"
    assert kinds.count("scene") > 50


def test_a_real_camera_that_freezes(recording):
    frames = recording("cat")
    kinds = watch([*frames[:20], *[frames[19]] * 5, *frames[20:]], step=111_000_000)
    assert kinds.count("repeated") == 5 and kinds[20:25] == ["repeated"] * 5
