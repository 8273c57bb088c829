"""Generated scenes repeat exactly, and their masks are where the targets are."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsad_core.errors import UsageError
from dsad_tools.scenes.clutter import TERRAINS
from dsad_tools.scenes.generator import BLUR, SceneGenerator
from dsad_tools.scenes.targets import LARGEST, Spot, draw


@pytest.mark.parametrize("terrain", TERRAINS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_frame_depends_on_seed_and_index_alone(terrain, dtype):
    first = SceneGenerator(96, 128, 50, seed=5, dtype=dtype, terrain=terrain)
    again = SceneGenerator(96, 128, 50, seed=5, dtype=dtype, terrain=terrain)
    other = SceneGenerator(96, 128, 50, seed=6, dtype=dtype, terrain=terrain)
    frames = [sample.image for sample in first]
    assert frames[0].shape == (96, 128) and frames[0].dtype == np.dtype(dtype)
    assert np.array_equal(frames[37], again[37].image)
    assert np.array_equal(first[37].mask, again[37].mask)
    assert not np.array_equal(frames[37], other[37].image)


@pytest.mark.parametrize("terrain", TERRAINS)
def test_every_target_inside_has_a_mask_and_stands_out(terrain):
    scene = SceneGenerator(128, 160, 60, seed=2, terrain=terrain, targets=(2, 4), snr=(12.0, 20.0))
    seen = 0
    for index in range(0, 60, 6):
        sample = scene[index]
        for spot in scene.spots(index):
            x, y = round(spot.x), round(spot.y)
            if 8 <= x < 152 and 8 <= y < 120:
                assert sample.mask[y, x] == 255
                seen += 1
        assert set(np.unique(sample.mask)) <= {0, 255}
    assert seen > 0


def test_contrast_is_what_snr_says():
    """With and without targets the same scene differs by the light of the targets alone."""
    arguments = dict(height=128, width=128, frames=4, seed=9, dtype="uint16", terrain="cloud")
    with_targets = SceneGenerator(targets=(3, 3), snr=(10.0, 10.0), **arguments)
    without = SceneGenerator(targets=(0, 0), **arguments)
    difference = with_targets[0].image.astype(int) - without[0].image.astype(int)
    assert difference[with_targets[0].mask == 255].min() > 0
    # Light reaches no farther than a target's length and the blur.
    reach = cv2.dilate(with_targets[0].mask, np.ones((25, 25), np.uint8))
    assert np.abs(difference[reach == 0]).max() == 0


@pytest.mark.parametrize("seed", range(12))
def test_mask_is_exactly_the_pixels_above_half_of_the_targets_own_light(seed):
    """The same frame with and without its target: what differs is the target's light, rounded to counts."""
    arguments = dict(height=96, width=96, frames=1, seed=seed, dtype="uint16", terrain="cloud")
    lit = SceneGenerator(targets=(1, 1), snr=(800.0, 800.0), **arguments)
    light = lit[0].image.astype(int) - SceneGenerator(targets=(0, 0), **arguments)[0].image.astype(int)
    (spot,) = lit.spots(0)
    assert 10 < spot.x < 86 and 10 < spot.y < 86, "the target is inside, or half of its peak is unknown"
    half = light.max() / 2
    expected = light > half
    expected[round(spot.y), round(spot.x)] = True
    doubtful = np.abs(light - half) <= 2  # counts are rounded twice
    assert np.array_equal(expected[~doubtful], (lit[0].mask == 255)[~doubtful])
    assert light.max() > 1000 and doubtful.sum() <= 2


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(20, 21),
    y=st.floats(20, 21),
    length=st.floats(0.4, 9.0),
    aspect=st.floats(0.45, 1.0),
    angle=st.floats(0, 2 * np.pi),
)
def test_mask_is_small_and_centred(x, y, length, aspect, angle):
    stamp = draw(Spot(x, y, length, aspect, angle, snr=10.0), BLUR)
    rows, columns = np.nonzero(stamp.mask)
    assert 1 <= rows.size <= LARGEST**2
    assert max(np.ptp(rows), np.ptp(columns)) + 1 <= LARGEST + 1
    assert abs(columns.mean() + stamp.left - x) < 1.0 and abs(rows.mean() + stamp.top - y) < 1.0
    assert stamp.light.max() < 1.3


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 8},
        {"frames": 0},
        {"seed": -1},
        {"dtype": "float32"},
        {"targets": (3, 1)},
        {"terrain": "moon"},
        {"snr": (0.0, 1.0)},
        {"fps": 0.0},
    ],
)
def test_a_wrong_argument_is_named(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SceneGenerator(**wrong)
