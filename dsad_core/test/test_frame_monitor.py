"""Frames that are no scene: made ones, and those of real recordings where they are at hand.

The recordings are FLIR Lepton files (CPTV); name their folder in DSAD_LEPTON and ``pip install cptv``.
"""

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


@pytest.mark.parametrize("rate, seconds", [(9, 3), (30, 1), (60, 1)])
def test_a_turn_to_the_clear_sky_is_a_scene(rate, seconds):
    """From the ground to the sky, which has a tenth of its spread."""
    rng = np.random.default_rng(3)
    ground = cv2.GaussianBlur(rng.normal(0, 1, (300, 160)).astype(np.float32), (0, 0), 4)
    sky = np.linspace(-40, 0, 300, dtype=np.float32)[:, None] + np.zeros((1, 160), np.float32)
    world = 7000 + np.vstack([sky, ground / ground.std() * 90 + 150])
    tops = [440] * rate + np.linspace(440, 60, seconds * rate).astype(int).tolist() + [60] * rate
    frames = [world[top : top + 120] + rng.normal(0, 2.5, (120, 160)) for top in tops]
    kinds = watch([frame.astype(np.uint16) for frame in frames], step=1_000_000_000 // rate)
    assert set(kinds) == {"scene"}


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


@pytest.mark.parametrize("rate", [9, 30, 60, 100])
def test_a_bolometer_forgets_the_scene_in_its_time(rate):
    """The shutter falls, and what the pixels saw decays with 10 ms."""
    rng = np.random.default_rng(1)
    scene = drifting("uint16", 30)
    level = np.median(scene[0])
    left = np.exp(-np.arange(1, 16) / rate / 0.01)
    closed = [level + share * (scene[14] - level) + rng.normal(0, 2.5, (120, 160)) for share in left]
    kinds = watch([*scene[:15], *(frame.astype(np.uint16) for frame in closed)], step=1_000_000_000 // rate)
    assert set(kinds[:15]) == {"scene"} and set(kinds[17:]) == {"shutter"}


def test_a_step_of_the_counts_settles():
    scene = drifting("uint16")
    kinds = watch([*scene[:15], *[frame + np.uint16(200) for frame in scene[15:]]])
    assert kinds[:15] == ["scene"] * 15 and kinds[15:24] == ["settling"] * 9 and set(kinds[26:]) == {"scene"}


def test_a_jump_of_the_counts_gain_settles():
    scene = drifting("uint16", 30)
    after = [(frame * 0.6 + 4000).astype(np.uint16) for frame in scene[15:]]
    kinds = watch([*scene[:15], *after])
    assert kinds[:15] == ["scene"] * 15 and kinds[15] == "settling" and kinds[-1] == "scene"


@pytest.mark.parametrize("gain, level", [(1.0, 35), (0.5, 20), (1.4, -60)])
def test_the_automatic_gain_of_an_8_bit_stream_leaves_the_scene_in_view(gain, level):
    scene = drifting("uint8", 30)
    after = [np.clip(frame * gain + level, 0, 255).astype(np.uint8) for frame in scene[15:]]
    assert set(watch([*scene[:15], *after])) == {"scene"}


def test_a_camera_that_never_settles_is_taken_as_it_is():
    scene = drifting("uint16") * 4
    hunting = [frame + np.uint16(400 * (index % 2)) for index, frame in enumerate(scene)]
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


def test_another_depth_of_the_pixels_starts_anew():
    """Counts of 7000 after grey levels of 110 are no step."""
    assert set(watch(drifting("uint8", 10) + drifting("uint16", 10))) == {"scene"}
    assert set(watch(drifting("uint16", 10) + drifting("uint8", 10))) == {"scene"}


def test_settings_outside_their_range_are_refused():
    with pytest.raises(UsageError, match="settle_s 0"):
        MonitorSettings(settle_s=0)


@pytest.mark.parametrize("name", ["noise_01", "noise_02", "noise_03", "noise_05", "cat", "rat"])
def test_quiet_recordings_and_animals_stay_scenes(lepton, name):
    assert set(watch(lepton(name), step=111_000_000)) == {"scene"}


@pytest.mark.parametrize("name, at", [("hedgehog", 30), ("possum", 1)])
def test_real_corrections_are_found_once(lepton, name, at):
    kinds = watch(lepton(name), step=111_000_000)
    assert [index for index, kind in enumerate(kinds) if kind != "scene"] == [at, at + 1, at + 2]


def test_every_large_step_of_the_skyline_is_found(lepton):
    frames = lepton("skyline")
    kinds = watch(frames, step=111_000_000)
    change = [float(np.median(b.astype(int) - a)) for a, b in zip(frames, frames[1:])]
    for index, step in enumerate(change, start=1):
        if abs(step) > 60:
            assert kinds[index] == "settling", f"frame {index}, {step} counts"
    assert kinds.count("scene") > 50


def test_a_real_camera_that_freezes(lepton):
    frames = lepton("cat")
    kinds = watch([*frames[:20], *[frames[19]] * 5, *frames[20:]], step=111_000_000)
    assert kinds.count("repeated") == 5 and kinds[20:25] == ["repeated"] * 5
