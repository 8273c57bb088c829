import numpy as np
import pytest

from dsad_core.overlay import BOX, OUTLINE, draw_overlay
from dsad_core.targets import Target

TARGET = Target(x=30.0, y=25.0, left=29, top=24, width=3, height=3, area=9, score=0.87, peak=1.9)


def mask_of(target, shape):
    mask = np.zeros(shape, np.uint8)
    mask[target.top : target.top + target.height, target.left : target.left + target.width] = 255
    return mask


@pytest.mark.parametrize("dtype, value", [(np.uint8, 90), (np.uint16, 7000), (np.float32, 290.0)])
def test_the_target_stays_visible_inside_outline_and_box(dtype, value):
    frame = np.full((64, 80), value, dtype)
    picture = draw_overlay(frame, mask_of(TARGET, frame.shape), [TARGET])
    assert picture.shape == (64, 80, 3) and picture.dtype == np.uint8
    inside = picture[24:27, 29:32]
    assert (inside == inside[0, 0]).all() and len(set(inside[0, 0].tolist())) == 1
    assert picture[23, 30].tolist() == list(OUTLINE)
    assert picture[24 - 5, 30].tolist() == list(BOX)


def test_without_targets_it_is_the_frame():
    frame = np.arange(64 * 80, dtype=np.uint32).reshape(64, 80).astype(np.uint8)
    picture = draw_overlay(frame, np.zeros_like(frame), [])
    np.testing.assert_array_equal(picture, np.repeat(frame[..., None], 3, axis=2))


@pytest.mark.parametrize("left, top", [(0, 0), (77, 0), (0, 61), (77, 61)])
def test_targets_at_the_edge_are_drawn_too(left, top):
    target = Target(left + 1, top + 1, left, top, 3, 3, 9, 0.5, 0.0)
    frame = np.zeros((64, 80), np.uint8)
    picture = draw_overlay(frame, mask_of(target, frame.shape), [target])
    assert (picture == OUTLINE).all(axis=2).any() and (picture == BOX).all(axis=2).any()
