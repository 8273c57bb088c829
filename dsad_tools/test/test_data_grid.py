import numpy as np
import pytest

from dsad_core.errors import UsageError
from dsad_tools.data.grid import Regridded, resized, turned
from dsad_tools.data.sample import Sample


def sample(height=40, width=60):
    image = np.random.default_rng(0).integers(0, 255, (height, width)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[5:9, 10:16] = 255
    return Sample("a", image, mask, np.array([[10, 5, 6, 4]], np.float32))


class Two:
    name, kind, split, split_hash, fps = "set", "dataset", "test", "abc", None
    notes = ["a note"]

    def __len__(self):
        return 2

    def __iter__(self):
        return iter([sample(), sample(32, 32)])


def test_a_grid_brings_every_frame_and_its_truth_to_one_size():
    source = Regridded(Two(), (120, 80))
    frames = list(source)
    assert [frame.image.shape for frame in frames] == [(80, 120)] * 2 and len(source) == 2
    assert frames[0].mask[10:18, 20:32].min() == 255 and (frames[0].mask > 0).sum() == 8 * 12
    assert frames[0].boxes.tolist() == [[20, 10, 12, 8]]
    assert (source.name, source.split, source.split_hash) == ("set", "test", "abc")
    assert source.notes == ["a note", "grid 120x80 (Pillow, bilinear and nearest)"]


def test_shrinking_averages_as_the_papers_script_does():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    assert abs(resized(Sample("a", stripes), (16, 16)).image.astype(int) - 100).max() <= 10


def test_turned_twice_is_as_it_was():
    once = turned(sample())
    assert once.mask[40 - 9 : 40 - 5, 60 - 16 : 60 - 10].min() == 255
    again = turned(once)
    for name in ("image", "mask", "boxes"):
        assert np.array_equal(getattr(again, name), getattr(sample(), name))


def test_deep_frames_are_refused():
    with pytest.raises(UsageError, match="frame a is uint16"):
        resized(Sample("a", np.zeros((8, 8), np.uint16)), (4, 4))
