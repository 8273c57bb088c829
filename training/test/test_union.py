import csv

import cv2
import numpy as np
import pytest
import torch

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.errors import DataError, UsageError
from dsad_tools.baseline import build_local_contrast
from dsad_training.calibrate import calibrate
from dsad_training.data import union
from dsad_training.data.holdout import hold_out_recordings, scenes
from dsad_training.data.sources import load_training_data
from dsad_training.recipe import DataPart, SyntheticPart, build_recipe
from dsad_training.soft_labels import answers, write_soft_labels
from dsad_training.validation import validate

AS_IT_IS = DataPart(mean=0.0, std=1.0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A set with masks, a set without targets and a recording, and split files that hold one of each out."""
    random = np.random.default_rng(0)
    monkeypatch.setattr(union, "SPLITS", tmp_path / "splits")
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "splits").mkdir()

    def still(folder, name, target):
        image = random.integers(60, 70, (64, 64)).astype(np.uint8)
        mask = np.zeros((64, 64), np.uint8)
        if target:
            image[30:34, 30:34], mask[30:34, 30:34] = 220, 255
        for part, content in (("images", image), ("masks", mask)):
            (tmp_path / folder / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / part / f"{name}.png"), content)

    for number in range(4):
        still("stills", f"s{number}", target=True)
        still("empty", f"e{number}", target=False)
    (tmp_path / "stills" / "train.txt").write_text("s0\ns1\ns2\ns3\n")
    for clip in ("CLIP_1", "CLIP_2"):
        folder = tmp_path / "clips" / clip
        (folder / "images").mkdir(parents=True)
        for number in range(4):
            image = np.full((48, 64), 80, np.uint8)
            image[20:23, 10 + number : 13 + number] = 180
            cv2.imwrite(str(folder / "images" / f"{number:06d}.png"), image)
        with (folder / "gt.csv").open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["frame", "source_frame", "labelled", "x", "y", "w", "h"])
            table.writerows([[n, n, 1, 7 + n, 17, 9, 9] for n in range(4)])
    for name, held_out in (("stills", "s1"), ("empty", "e3"), ("clips", "CLIP_2")):
        (tmp_path / "splits" / f"{name}.txt").write_text(held_out + "\n")
    (tmp_path / "splits" / "sided.txt").write_text("s2\n")
    return tmp_path


SOURCES = [
    {"folder": "stills", "validation": "stills.txt", "sided": "sided.txt", "share": 0.5},
    {"folder": "empty", "kind": "background", "validation": "empty.txt"},
    {"folder": "clips", "kind": "recordings", "validation": "clips.txt", "every": 2},
]


def part(tiny_recipe, **data):
    return build_recipe({**tiny_recipe, "data": {"sources": SOURCES, **data}}).data


def test_a_union_is_cut_by_its_split_files(root, tiny_recipe):
    data = load_training_data([root], part(tiny_recipe), 0)
    assert data.kept.names == (
        *("s0", "s2", "s3"),
        *("e0", "e1", "e2"),
        *("CLIP_1/000000", "CLIP_1/000002"),
    )
    assert data.held_out.names == ("s1", "e3", "CLIP_2/000000", "CLIP_2/000002")
    assert data.kept.group.tolist() == [0] * 3 + [1] * 3 + [2] * 2
    assert data.kept.sided.tolist() == [False, True] + [False] * 6
    # One half is given, the other is divided by the roots of 3 and 2 images.
    assert data.shares.tolist() == pytest.approx([0.5, 0.2753, 0.2247], abs=1e-3)
    assert data.facts["data"] == "stills + empty + clips"
    mask = data.kept.image(6)[1]
    assert (mask[20:23, 10:13] == 1).all() and (mask == 2).sum() > 60 and not (mask[:10] != 0).any()


def test_generated_scenes_are_one_more_set_of_a_union(root, tiny_recipe):
    plain = load_training_data([root], part(tiny_recipe), seed=0)
    scenes = SyntheticPart(images=10, terrain="sea", side=64, share=0.4)
    both = part(tiny_recipe, synthetic=scenes.model_dump())
    data = load_training_data([root], both, seed=0)
    assert data.shares[:-1].tolist() == pytest.approx((0.6 * plain.shares).tolist())
    batches = data.batches(False, both.augmentation, torch.Generator().manual_seed(0))
    _, places = batches.anywhere(2000, 16)
    generated = torch.tensor([name.startswith("synthetic") for name in data.kept.names])
    # Four standard deviations of 2,000 draws.
    assert generated[places.index].float().mean() == pytest.approx(0.4, abs=0.044)
    assert data.held_out.names == plain.held_out.names


def test_a_union_needs_its_folders_and_names(root, tiny_recipe):
    with pytest.raises(UsageError, match="one --data"):
        load_training_data([root, root], part(tiny_recipe), 0)
    (root / "splits" / "empty.txt").write_text("e9\n")
    with pytest.raises(DataError, match="e9 is not in"):
        load_training_data([root], part(tiny_recipe), 0)
    (root / "splits" / "empty.txt").write_text("e0\ne1\ne2\ne3\n")
    with pytest.raises(DataError, match="holds out all"):
        load_training_data([root], part(tiny_recipe), 0)
    (root / "splits" / "empty.txt").unlink()
    with pytest.raises(DataError, match=r"empty\.txt: cannot be read"):
        load_training_data([root], part(tiny_recipe), 0)


class Brightness(torch.nn.Module):
    size_multiple = 16

    def forward(self, image):
        return [40 * image - 20]


def test_soft_labels_are_kept_for_exactly_these_images(root, tiny_recipe):
    data = load_training_data([root], part(tiny_recipe), 0)
    network = Brightness().eval()
    soft = answers(network, data.kept, AS_IT_IS, views=4)
    expected = (255 * torch.sigmoid(40 * data.kept.pixels.float() / 255 - 20)).round()
    assert (soft.float() - expected).abs().max() <= 1
    write_soft_labels(root / "soft.safetensors", soft, data.kept, "sha")
    with_soft = load_training_data([root], part(tiny_recipe, soft=str(root / "soft.safetensors")), 0)
    assert torch.equal(with_soft.kept.soft, soft)
    write_soft_labels(root / "soft.safetensors", soft, data.held_out, "sha")
    with pytest.raises(DataError, match="other images"):
        load_training_data([root], part(tiny_recipe, soft=str(root / "soft.safetensors")), 0)


def test_validation_scores_each_set(root, tiny_recipe):
    held_out = load_training_data([root], part(tiny_recipe), 0).held_out
    scores = validate(Brightness(), held_out, ["stills", "empty", "clips"], {"clips"}, AS_IT_IS)
    stills, empty, clips = scores
    assert (stills.masks.pd, stills.masks.iou, stills.false_a_frame) == (1, 1, 0)
    assert empty.peaks.targets == 0 and empty.false_a_frame == 0
    assert clips.peaks.targets == 2 and clips.peaks.pd[0.1] == 1


def test_scenes_are_linked_and_recordings_go_by_blocks():
    one, other, third = np.eye(3)
    near = (one + 0.1 * other) / np.linalg.norm(one + 0.1 * other)
    assert scenes(np.stack([one, other, near, third])).tolist() == [0, 1, 0, 2]
    names = [f"A_{n:02d}" for n in range(24)]
    assert hold_out_recordings(names) == names[8:12] + names[20:24]


def test_a_threshold_is_chosen_for_a_rate_of_false_alarms(root, tiny_recipe, tmp_path):
    engine = tmp_path / "local-contrast"
    build_local_contrast(engine)
    held_out = load_training_data([root], part(tiny_recipe), 0).held_out
    loaded = load_engine(engine, threads=1)
    result = calibrate(
        Detector(loaded, value_range=(0, 255)), held_out, ["stills", "empty", "clips"], {"clips"}
    )
    loaded.close()
    assert {name: peaks.frames for name, peaks in result.peaks.items()} == {
        "stills": 1,
        "empty": 1,
        "clips": 2,
    }
    threshold, choice = result.choose(0.0)
    false = np.concatenate([peaks.false for peaks in result.peaks.values()])
    assert false.size == 0 or 1 / (1 + np.exp(-false.max())) <= threshold + 0.001
    found = {each.data_set: each.pd for each in choice.sets}
    assert found == {"stills": 1.0, "empty": None, "clips": 1.0} and choice.images == 4
    # The more may alarm falsely, the lower the threshold.
    assert result.choose(1e9)[0] == pytest.approx(0.05)
