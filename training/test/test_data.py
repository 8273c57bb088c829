import cv2
import numpy as np
import pytest
import torch

from dsad_core.errors import DataError
from dsad_core.frame.normalise import to_unit
from dsad_training.data.batches import Augmentation, Batches, gaussian_blur, mirror
from dsad_training.data.cache import TENSORS
from dsad_training.data.packed import bright_places, join, pack, split

UNCHANGED = Augmentation(gain=0, offset=0, blur=0, noise=0)


@pytest.fixture
def packed():
    random = np.random.default_rng(3)
    samples = []
    for i, (height, width) in enumerate([(40, 60), (24, 100), (64, 64)]):
        mask = np.zeros((height, width), np.uint8)
        mask[10:13, 8 + i : 12 + i] = 255
        samples.append((str(i), random.integers(0, 256, (height, width), dtype=np.uint8), mask))
    return pack(samples)


def batches(packed, augmentation, seed=0):
    return Batches(packed, augmentation, torch.Generator().manual_seed(seed))


def test_images_come_back_as_they_went_in(packed):
    assert [tuple(packed.image(i)[0].shape) for i in range(3)] == [(40, 60), (24, 100), (64, 64)]
    image, mask = packed.image(1)
    assert mask.sum() == 12 and mask.max() == 1
    assert packed.subset([1]).image(0)[0].equal(image)
    assert packed.targets.tolist()[0] == [0, 11, 10]


def test_split_is_disjoint_complete_and_the_same_for_a_seed(packed):
    train, held_out = split(packed, 1, seed=5)
    assert sorted(train.names + held_out.names) == ["0", "1", "2"]
    assert split(packed, 1, seed=5)[1].names == held_out.names
    assert split(packed, 0, seed=5)[1] is None
    with pytest.raises(DataError, match="3 validation images"):
        split(packed, 3, seed=5)


def test_every_crop_is_a_symmetry_of_a_window_of_its_image():
    height = width = 8
    image = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    data = pack([("a", image, np.eye(8, dtype=np.uint8))])
    seen = set()
    crops, masks = batches(data, UNCHANGED).draw(200, 8)
    for crop, mask in zip(crops[:, 0], masks[:, 0]):
        numbers = (crop * 255).round().byte().numpy()
        variants = [np.rot90(base, k) for base in (image, image.T) for k in range(4)]
        matches = [i for i, variant in enumerate(variants) if np.array_equal(variant, numbers)]
        assert len(matches) == 1
        seen.add(matches[0])
        diagonal = np.rot90(np.eye(8), matches[0] % 4)
        assert np.array_equal(mask.numpy(), diagonal)
    assert len(seen) == 8


@pytest.mark.parametrize("transpose, symmetries", [(True, 2), (False, 1)])
def test_without_flips_up_stays_up_or_becomes_left(transpose, symmetries):
    image = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)
    data = pack([("a", image, np.eye(16, dtype=np.uint8))])
    upright = Augmentation(gain=0, offset=0, blur=0, noise=0, flip=False, transpose=transpose)
    seen = set()
    for crop in (batches(data, upright).draw(50, 8)[0][:, 0] * 255).round():
        top, left = divmod(int(crop[0, 0]), 16)
        window = image[top : top + 8, left : left + 8]
        seen.add(0 if np.array_equal(crop, window) else 1)
        assert np.array_equal(crop, window) or np.array_equal(crop, window.T)
    assert len(seen) == symmetries


def test_crops_larger_than_the_image_are_mirrored(packed):
    image, truth = batches(packed, UNCHANGED).draw(16, 64)
    assert image.shape == truth.shape == (16, 1, 64, 64)
    assert mirror(torch.arange(8), torch.tensor(3)).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert mirror(torch.arange(3), torch.tensor(1)).tolist() == [0, 0, 0]


def test_target_crops_hold_a_target(packed):
    _, truth = batches(packed, Augmentation(target=1, distractor=0)).draw(64, 16)
    assert (truth.flatten(1).sum(1) > 0).all()


def test_gaussian_blur_is_opencvs_for_each_image():
    image = torch.rand(3, 1, 20, 30)
    blurred = gaussian_blur(image, torch.tensor([0.0, 0.6, 1.0]))
    torch.testing.assert_close(blurred[0], image[0])
    for i, deviation in ((1, 0.6), (2, 1.0)):
        kernel = cv2.getGaussianKernel(7, deviation).astype(np.float32)
        expected = cv2.sepFilter2D(image[i, 0].numpy(), -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
        torch.testing.assert_close(blurred[i, 0], torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_the_same_seed_draws_the_same_batch(packed):
    one, other = (batches(packed, Augmentation(), seed=4).draw(8, 32) for _ in range(2))
    assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_zoom_changes_size_and_area_alike(packed):
    one = batches(packed, Augmentation(1, 0, gain=0, offset=0, blur=0, noise=0, zoom=2), seed=4)
    sides, areas = [], []
    for _ in range(60):
        state = one.generator.get_state()
        sides.append(one._source_side(32))
        one.generator.set_state(state)
        image, truth = one.draw(8, 32)
        assert image.shape == truth.shape == (8, 1, 32, 32) and set(truth.unique().tolist()) <= {0, 1}
        areas.append(float(truth.sum((1, 2, 3)).median()))
    assert min(sides) in range(16, 18) and max(sides) in range(60, 65)
    # A target of 3x4 px takes as many more pixels as the crop was enlarged.
    assert np.corrcoef(np.log(sides), np.log(areas))[0, 1] < -0.95


def test_distractors_keep_away_from_targets():
    image, mask = np.full((64, 64), 50, np.uint8), np.zeros((64, 64), np.uint8)
    image[10:13, 10:13], image[40:43, 40:43] = 250, 200
    mask[10:13, 10:13] = 1
    assert bright_places(image, mask)[0] == (41, 41)
    assert all(abs(y - 11) > 6 or abs(x - 11) > 6 for y, x in bright_places(image, mask))


def test_subset_and_join_are_what_packing_gives(packed):
    def samples(data, indices):
        return [(data.names[i], *(part.numpy() for part in data.image(i))) for i in indices]

    for made, wanted in (
        (packed.subset([2, 0]), pack(samples(packed, [2, 0]))),
        (join(packed.subset([1]), packed.subset([2])), packed.subset([1, 2])),
    ):
        assert made.names == wanted.names
        for name in TENSORS:
            assert torch.equal(getattr(made, name), getattr(wanted, name)), name


def test_deep_images_are_normalised_as_the_runtime_does(packed):
    random = np.random.default_rng(0)
    deep = (7000 + 40 * random.standard_normal((48, 56))).astype(np.uint16)
    kelvin = (280 + random.standard_normal((40, 40))).astype(np.float32)
    data = pack([("deep", deep, np.zeros_like(deep)), ("kelvin", kelvin, np.zeros_like(kelvin))])
    for index, frame in enumerate((deep, kelvin)):
        unit = data.image(index)[0] / 255
        torch.testing.assert_close(unit, torch.from_numpy(to_unit(frame)), atol=1e-6, rtol=0)
        assert 0.02 < unit.std() < 0.5
    mixed = join(packed, data)
    assert torch.equal(mixed.image(0)[0], packed.image(0)[0].float())
    assert torch.equal(mixed.image(3)[0], data.image(0)[0])
    crop, _ = batches(data, UNCHANGED).draw(8, 32)
    assert 0 <= crop.min() and crop.max() <= 1


def test_refuses_an_empty_split():
    with pytest.raises(DataError, match="empty"):
        pack([])
