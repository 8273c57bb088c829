"""Data sets in the SIRST layout: splits, odd pairs, and what is wrong with a broken one."""

import cv2
import numpy as np
import pytest

from dsad_core.errors import DataError
from dsad_tools.data.dataset import SirstDataset


@pytest.fixture
def folder(tmp_path):
    """Three pairs: colour, palette-free grey, and one whose mask is twice the image's size."""
    for name in ("images", "masks", "50_50"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for index, (name, shape) in enumerate({"a1": (8, 9, 3), "a2": (7, 6), "a10": (5, 4)}.items()):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), rng.integers(0, 256, shape, np.uint8))
        mask = np.zeros((shape[0] * (1 + index // 2), shape[1] * (1 + index // 2)), np.uint8)
        mask[1, 2] = 255
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    (tmp_path / "50_50" / "train.txt").write_bytes(b"a1\r\n")
    (tmp_path / "50_50" / "test.txt").write_bytes(b"a10\r\na2\r\n")
    return tmp_path


def test_split_in_file_order_with_windows_line_ends(folder):
    data = SirstDataset(folder, "test")
    assert data.ids == ["a10", "a2"]
    assert len(data) == 2 and [sample.name for sample in data] == ["a10", "a2"]
    assert SirstDataset(folder, "all").ids == ["a1", "a2", "a10"]


def test_hash_names_the_set_of_ids_not_their_order(folder):
    first = SirstDataset(folder, "test").split_hash
    (folder / "50_50" / "test.txt").write_text("a2\na10\n")
    assert SirstDataset(folder, "test").split_hash == first
    assert SirstDataset(folder, "train").split_hash != first


def test_colour_becomes_luma_as_in_the_frame_codec(folder):
    sample = SirstDataset(folder, "train")[0]
    bgr = cv2.imread(str(folder / "images" / "a1.png"))
    assert np.array_equal(sample.image, cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))
    assert set(np.unique(sample.mask)) == {0, 255}


def test_odd_pair_is_resized_and_said(folder):
    data = SirstDataset(folder, "test")
    assert data[0].mask.shape == data[0].image.shape == (5, 4)
    assert len(data.notes) == 1 and "a10" in data.notes[0]


@pytest.mark.parametrize(
    ("break_it", "named"),
    [
        (lambda f: (f / "masks" / "a2.png").unlink(), "a2"),
        (lambda f: (f / "50_50" / "test.txt").write_text(""), "test.txt"),
        (lambda f: (f / "50_50" / "test.txt").write_text("a2\na2\n"), "a2"),
        (lambda f: (f / "test.txt").write_text("a2\n"), "50_50/test"),
        (lambda f: (f / "50_50" / "test.txt").unlink(), "no split 'test'"),
    ],
)
def test_a_broken_set_is_one_line_that_names_the_fault(folder, break_it, named):
    break_it(folder)
    with pytest.raises(DataError) as error:
        SirstDataset(folder, "test")
    assert named in str(error.value) and str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_image_is_named_when_decoded(folder):
    path = folder / "images" / "a2.png"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match="a2.png"):
        list(SirstDataset(folder, "test"))
