"""Data sets in every published layout, the cache behind them, and generated frames beside them."""

import hashlib
import os

import cv2
import numpy as np
import pytest
import torch

from dsad_core.errors import UsageError
from dsad_core.frame.normalise import to_unit
from dsad_tools.data.dataset import SirstDataset
from dsad_tools.scenes.generator import SceneGenerator
from dsad_training.checkpoint import load_state, load_weights
from dsad_training.data import sources
from dsad_training.data.batches import Augmentation, Batches
from dsad_training.data.cache import TENSORS, packed_folder
from dsad_training.data.decode import packed_dataset
from dsad_training.data.sources import load_training_data
from dsad_training.data.synthetic import synthetic_samples
from dsad_training.recipe import DataPart, SyntheticPart, build_recipe
from dsad_training.train import train

SCENES = SyntheticPart(images=12, seed=7, terrain="cloud", side=64)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Nine noise images of nine sizes, their split as IRSTD-1k has it."""
    folder = tmp_path / "IRSTD-1k"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    random, names = np.random.default_rng(11), [f"XDU{i}" for i in range(9)]
    for i, name in enumerate(names):
        shape = (40 + 3 * i, 60 - 2 * i)
        mask = np.zeros(shape, np.uint8)
        mask[10 + i : 13 + i, 9:12] = 255
        cv2.imwrite(str(folder / "images" / f"{name}.png"), random.integers(0, 256, shape, dtype=np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    (folder / "trainval.txt").write_text("\n".join(names[:8]) + "\n")
    (folder / "test.txt").write_text(names[8])
    return folder


def same(one, other):
    return one.names == other.names and all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in TENSORS
    )


@pytest.fixture
def decoded(monkeypatch):
    """Names of the images decoded since, in order."""
    names, read = [], SirstDataset.__getitem__

    def counting(self, index):
        names.append(self.ids[index])
        return read(self, index)

    monkeypatch.setattr(SirstDataset, "__getitem__", counting)
    return names


def test_irstd_1k_trains_on_trainval(folder):
    data = load_training_data([folder], DataPart(validation=3), seed=3)
    assert data.facts["train_images"] == len(data.everything) == 8
    assert sorted(data.kept.names + data.held_out.names) == [f"XDU{i}" for i in range(8)]
    assert data.facts["split_hash"] == SirstDataset(folder, "trainval").split_hash


def test_a_recipe_draws_the_same_batch_on_any_machine(folder):
    # Without noise, gain and blur a crop holds whole numbers, so that this hash is the same on any machine.
    for _ in ("decoded", "from the cache"):
        data = load_training_data([folder], DataPart(validation=3), seed=3)
        plain = Augmentation(gain=0, offset=0, blur=0, noise=0)
        image, truth, _, _ = Batches(data.kept, plain, torch.Generator().manual_seed(3)).draw(16, 32)
        content = (255 * image).round().to(torch.uint8), truth.to(torch.uint8)
        digest = hashlib.sha256(b"".join(part.numpy().tobytes() for part in content))
        assert digest.hexdigest()[:16] == "8dddb81fff7eb33b"


def test_decoded_once_and_again_when_a_file_changes(folder, decoded):
    source = SirstDataset(folder, "train")
    first = packed_dataset(source)
    assert decoded == source.ids
    assert same(packed_dataset(source), first) and len(decoded) == 8

    path = folder / "images" / "XDU2.png"
    cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    changed = packed_dataset(source)
    assert len(decoded) == 16 and not same(changed, first)
    assert torch.equal(changed.image(2)[0], 255 - first.image(2)[0])

    (folder / "trainval.txt").write_text("XDU1\nXDU0\n")
    assert packed_dataset(SirstDataset(folder, "train")).names == ("XDU1", "XDU0")
    assert [path.name[:15] for path in packed_folder().iterdir()] == ["IRSTD-1k-train-"]


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-100], lambda content: b"{}", lambda content: b""]
)
def test_a_damaged_cache_is_replaced(damage, folder, decoded):
    source = SirstDataset(folder, "train")
    first = packed_dataset(source)
    (path,) = packed_folder().iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert same(packed_dataset(source), first) and len(decoded) == 16
    assert same(packed_dataset(source), first) and len(decoded) == 16


def test_a_cache_that_cannot_be_written_is_said_and_done_without(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "file"))
    assert len(packed_dataset(SirstDataset(folder, "train"))) == 8
    assert "DSAD_CACHE" in capsys.readouterr().err


def test_mixed_modes_and_a_mask_of_another_size(folder, tmp_path, tiny_recipe, capsys):
    grey = cv2.imread(str(folder / "images" / "XDU0.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "images" / "XDU0.png"), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGRA))
    deep = (7000 + 3 * np.arange(43 * 58).reshape(43, 58)).astype(np.uint16)
    cv2.imwrite(str(folder / "images" / "XDU1.png"), deep)
    mask = cv2.imread(str(folder / "masks" / "XDU3.png"), cv2.IMREAD_GRAYSCALE)
    mask = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(folder / "masks" / "XDU3.png"), mask)
    recipe = build_recipe({**tiny_recipe, "phases": tiny_recipe["phases"][:1]})
    for run in ("decoded", "cached"):
        assert train(recipe, [folder], tmp_path / run)
        assert "XDU3: mask 108x98 resized (nearest) to the image, 54x49" in capsys.readouterr().out
    data = load_training_data([folder], recipe.data, 0).everything
    assert torch.equal(data.image(0)[0], torch.from_numpy(grey).float())
    assert torch.equal(data.image(1)[0], torch.from_numpy(255 * to_unit(deep)))
    assert int(data.image(3)[1].sum()) == 9


def test_several_data_sets_are_one(folder, tiny_data):
    both = load_training_data([folder, tiny_data], DataPart(validation=5), seed=3)
    first, second = (packed_dataset(SirstDataset(each, "train")) for each in (folder, tiny_data))
    assert both.everything.names == first.names + second.names
    assert torch.equal(both.everything.pixels, torch.cat([first.pixels, second.pixels]))
    assert len(both.held_out) == 5 and len(both.kept) == 11
    assert {*both.held_out.names} & {*first.names} and {*both.held_out.names} & {*second.names}
    hashes = [SirstDataset(each, "train").split_hash for each in (folder, tiny_data)]
    assert both.facts["data"] == f"IRSTD-1k + {tiny_data.name}"
    assert both.facts["split_hash"] == " + ".join(hashes) and both.facts["train_images"] == 16


def test_scenes_are_trained_on_and_never_validated_on(folder):
    plain = load_training_data([folder], DataPart(validation=3), seed=3)
    with_scenes = load_training_data([folder], DataPart(validation=3, synthetic=SCENES), seed=3)
    assert same(with_scenes.held_out, plain.held_out)
    assert same(with_scenes.kept.subset(list(range(5))), plain.kept)
    assert len(with_scenes.kept) == 5 + 12 and len(with_scenes.everything) == 8 + 12
    assert with_scenes.facts == {**plain.facts, "synthetic_images": 12}
    added = with_scenes.everything.names[8:]
    assert len(set(added)) == 12 and all(name.startswith("synthetic-cloud-") for name in added)
    assert len({name.split("-")[2] for name in added}) == 2
    samples = list(synthetic_samples(**SCENES.model_dump(exclude={"share"})))
    for index, sample in enumerate(samples, start=8):
        image, mask = with_scenes.everything.image(index)
        assert np.array_equal(image, sample.image) and np.array_equal(mask, sample.mask > 0)
    assert sum(sample.mask.any() for sample in samples) >= 10


def test_scenes_are_generated_once_for_their_options(monkeypatch):
    first = sources.packed_scenes(**SCENES.model_dump(exclude={"share"}))
    with monkeypatch.context() as patch:
        patch.setattr(SceneGenerator, "__init__", None)
        assert same(sources.packed_scenes(**SCENES.model_dump(exclude={"share"})), first)
    other = sources.packed_scenes(**SCENES.model_copy(update={"seed": 8}).model_dump(exclude={"share"}))
    assert not set(other.names) & set(first.names)


def test_a_run_with_scenes_resumes_to_the_same_weights_and_says_so(tiny_recipe, folder, tmp_path):
    content = {**tiny_recipe, "data": {"validation": 2, "synthetic": SCENES.model_dump()}}
    assert train(build_recipe(content), [folder], tmp_path / "whole")
    assert not train(build_recipe(content), [folder], tmp_path / "cut", minutes=0)
    for path in packed_folder().iterdir():
        path.unlink()
    assert train(None, [folder], tmp_path / "cut")
    whole, cut = (load_state(tmp_path / name)["network"] for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    _, recipe, facts = load_weights(tmp_path / "cut")
    assert recipe.data.synthetic == SCENES
    assert facts["train_images"] == 8 and facts["synthetic_images"] == 12


@pytest.mark.parametrize(
    "key, value",
    [
        ("images", 0),
        ("seed", -1),
        ("terrain", "moon"),
        ("side", 16),
        ("snr", "[9, 2]"),
        ("frames", 3),
    ],
)
def test_a_bad_value_is_named(key, value, tiny_recipe):
    content = {**tiny_recipe, "data": {"synthetic": {"images": 5}}}
    with pytest.raises(UsageError, match=f"data.synthetic.{key}"):
        build_recipe(content, [f"data.synthetic.{key}={value}"])


@pytest.mark.skipif("DSAD_DATA" not in os.environ, reason="DSAD_DATA names no folder with NUAA-SIRST")
def test_misc_111_keeps_its_target():
    source = SirstDataset(os.path.join(os.environ["DSAD_DATA"], "NUAA-SIRST"), "all")
    sample = source[source.ids.index("Misc_111")]
    assert sample.mask.shape == sample.image.shape == (220, 325) and sample.mask.any()
    assert "Misc_111" in source.notes[0]
