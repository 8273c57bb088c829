from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dsad_core.errors import DataError
from dsad_core.frame.normalise import to_unit
from dsad_training.data.augmentation import Augmentation
from dsad_training.data.batches import Batches, gaussian_blur, mirror
from dsad_training.data.boxes import mask_from_boxes
from dsad_training.data.cache import TENSORS
from dsad_training.data.mining import mined, remembered
from dsad_training.data.packed import UNCERTAIN, bright_places, join, pack, split
from dsad_training.data.paste import cut_patches
from dsad_training.data.sensor import disturbed
from dsad_training.recipe import DataPart

AS_IT_IS = DataPart(mean=0.0, std=1.0)
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
    crops, masks, _, _ = batches(data, UNCHANGED).draw(200, 8)
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
    image, truth, known, soft = batches(packed, UNCHANGED).draw(16, 64)
    assert image.shape == truth.shape == known.shape == (16, 1, 64, 64)
    assert known.min() == 1 and soft is None
    assert mirror(torch.arange(8), torch.tensor(3)).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert mirror(torch.arange(3), torch.tensor(1)).tolist() == [0, 0, 0]
    assert mirror(torch.tensor([-1, -2]), torch.tensor(3)).tolist() == [1, 2]


def test_target_crops_hold_a_target(packed):
    truth = batches(packed, Augmentation(target=1, distractor=0)).draw(64, 16).truth
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


def test_every_crop_has_its_own_zoom_and_its_target_grows_with_it():
    image, mask = np.zeros((96, 96), np.uint8), np.zeros((96, 96), np.uint8)
    image[40:48, 40:48], mask[40:48, 40:48] = 255, 255
    zoomed = Augmentation(1, 0, gain=0, offset=0, blur=0, noise=0, zoom=2)
    crops = batches(pack([("a", image, mask)]), zoomed, seed=4).draw(64, 64)
    area = crops.truth.sum((1, 2, 3))
    assert 64 / 4 * 0.8 < area.min() < 30 and 140 < area.max() < 64 * 4 * 1.2
    # Image and truth are zoomed alike.
    torch.testing.assert_close(crops.image, crops.truth, atol=0.01, rtol=0)


def test_a_side_that_labels_lie_on_stays_after_mirrors():
    image, mask = np.zeros((33, 33), np.uint8), np.zeros((33, 33), np.uint8)
    image[10:13, 10:13], mask[9:12, 9:12] = 255, 255
    data = pack([("a", image, mask)])
    sided = replace(data, sided=torch.tensor([True]))
    offsets = []
    for each in (data, sided):
        crops = batches(each, UNCHANGED, seed=1).draw(64, 33)
        places = [plane[:, 0].nonzero().float() for plane in (crops.image, crops.truth)]
        means = [torch.stack([p[p[:, 0] == i, 1:].mean(0) for i in range(64)]) for p in places]
        offsets.append({tuple(row) for row in (means[1] - means[0]).tolist()})
    assert offsets[0] == {(-1, -1), (-1, 1), (1, -1), (1, 1)}
    # After a mirror the label is one pixel up and left of where the mirror put it.
    assert offsets[1] == {(-1, -1), (-1, 0), (0, -1), (0, 0)}


def test_unknown_pixels_and_a_teachers_answers_follow_the_crop(packed):
    mask = np.zeros((40, 40), np.uint8)
    mask[8:20, 8:20], mask[12:14, 12:14] = UNCERTAIN, 255
    data = pack([("a", np.zeros((40, 40), np.uint8), mask)])
    assert data.targets.tolist() == [[0, 12, 12]]
    soft = torch.where(data.masks == 1, 200, 0).to(torch.uint8)
    crops = batches(replace(data, soft=soft), UNCHANGED).draw(8, 40)
    assert (crops.known == 0).sum((1, 2, 3)).tolist() == [144 - 4] * 8
    assert torch.equal(crops.soft, crops.truth * 200 / 255)


def test_groups_are_drawn_by_their_shares(packed):
    data = replace(packed, group=torch.tensor([0, 0, 1]))
    drawn = Batches(data, UNCHANGED, torch.Generator().manual_seed(0), shares=torch.tensor([0.1, 0.9]))
    index = drawn._places(2000, 16).index
    assert 0.86 < (index == 2).float().mean() < 0.94
    assert set(index.tolist()) == {0, 1, 2}


def test_mined_places_are_drawn():
    data = pack([("a", np.zeros((200, 200), np.uint8), np.zeros((200, 200), np.uint8))])
    image = data.image(0)[0]
    image[150, 30] = 255
    augmentation = Augmentation(0, 0, mined=1, gain=0, offset=0, blur=0, noise=0)
    hard = torch.tensor([[0, 150, 30]])
    crops = Batches(data, augmentation, torch.Generator().manual_seed(0), hard=hard).draw(32, 32)
    assert (crops.image.amax((1, 2, 3)) == 1).all()


def test_mining_finds_where_a_network_alarms_off_target():
    image = np.zeros((64, 64), np.uint8)
    image[20, 40], image[50, 10] = 255, 255
    mask = np.zeros((64, 64), np.uint8)
    mask[50, 10] = 255
    network = nn.Module()
    network.forward = lambda image: [20 * image - 10]
    found = mined(network, batches(pack([("a", image, mask)]), UNCHANGED), 4, 64, AS_IT_IS, bf16=False)
    assert found.tolist() == [[0, 20, 40]] * 4
    assert len(remembered(found, found)) == 8


def test_pasted_targets_are_seen_and_known():
    rng = np.random.default_rng(0)
    image, mask = np.full((80, 80), 60, np.uint8), np.zeros((80, 80), np.uint8)
    image[38:42, 38:42], mask[38:42, 38:42] = 200, 255
    empty = rng.integers(90, 110, (80, 80)).astype(np.uint8)
    patches = cut_patches(pack([("a", image, mask)]))
    assert len(patches) == 1
    # Its background is gone, the target's own contrast is there.
    torch.testing.assert_close(
        patches.difference[0, 18:22, 18:22], torch.full((4, 4), 140 / 255), atol=0.02, rtol=0
    )
    assert patches.difference[0, :10].abs().max() < 0.01
    data = pack([("b", empty, np.zeros((80, 80), np.uint8))])
    drawn = Batches(
        data, replace(UNCHANGED, paste=1.0), torch.Generator().manual_seed(0), patches=patches
    ).draw(16, 64)
    areas = drawn.truth.sum((1, 2, 3))
    assert areas.min() >= 16 and areas.max() <= 32
    inside = drawn.image[drawn.truth > 0].mean() - drawn.image[drawn.truth == 0].mean()
    assert inside > 0.15


def test_sensor_effects_are_each_seen_and_repeat_for_a_seed():
    image = torch.full((16, 1, 128, 128), 0.5)
    none = dict(target=0, distractor=0, gain=0, offset=0, blur=0, noise=0)

    def made(**effect):
        return disturbed(image, Augmentation(**none, **effect), torch.Generator().manual_seed(1))

    assert torch.equal(made(), image)
    striped = made(pattern=0.05)
    assert (striped.std((2, 3)) > 0.003).any()
    assert made(gamma=2.0).unique().numel() > 10
    dead = made(dead=1.0) != image
    assert 0 < dead.float().mean() < 3e-4
    text = made(text=1.0)
    assert set(text.unique().tolist()) == {0.0, 0.5, 1.0} and (text != image).flatten(1).any(1).all()
    assert torch.equal(text, made(text=1.0))


def test_masks_from_boxes_are_the_spot_inside():
    image = np.random.default_rng(0).normal(100, 1, (60, 60)).astype(np.float32)
    image[30:33, 20:24] += 40
    image[40:, 40:] = 100
    mask = mask_from_boxes(image, np.array([[15, 25, 14, 14], [45, 45, 8, 8]]))
    assert (mask[30:33, 20:24] == 255).sum() >= 8 and (mask == 255).sum() <= 30
    # The other box holds nothing that stands out.
    assert set(np.unique(mask[45:53, 45:53])) == {UNCERTAIN}
    assert mask[:20].max() == 0


def test_distractors_keep_away_from_targets():
    image, mask = np.full((64, 64), 50, np.uint8), np.zeros((64, 64), np.uint8)
    image[10:13, 10:13], image[40:43, 40:43] = 250, 200
    mask[10:13, 10:13] = 1
    assert bright_places(image, mask)[0] == (41, 41)
    assert all(abs(y - 11) > 6 or abs(x - 11) > 6 for y, x in bright_places(image, mask))


def test_thinned_takes_as_many_of_each_group(packed):
    many = join(packed, replace(packed, group=packed.group + 1))
    few = many.thinned(2)
    assert few.group.tolist() == [0, 0, 1, 1]
    assert few.image(2)[0].equal(packed.image(0)[0])
    assert many.thinned(len(many)) is many


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
    crop = batches(data, UNCHANGED).draw(8, 32).image
    assert crop.min() >= 0 and crop.max() <= 1


def test_refuses_an_empty_split():
    with pytest.raises(DataError, match="empty"):
        pack([])
