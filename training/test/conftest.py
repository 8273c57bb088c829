import hashlib

import cv2
import numpy as np
import pytest
import torch
import yaml
from table_rows import PAPER, ROWS

from dsad_core.engines.manifest import Manifest, Normalisation, Provenance, TestResult
from dsad_training.tables.compose import compose

COUNT = 12

# Tiny networks gain nothing from threads, and wait for each other on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """Packed data sets of the tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """A data set of 12 images of two sizes with one bright spot each; 8 to train, 4 to test."""
    folder = tmp_path_factory.mktemp("tiny-sirst")
    for part in ("images", "masks", "50_50"):
        (folder / part).mkdir()
    random = np.random.default_rng(7)
    names = [f"{i:03d}" for i in range(COUNT)]
    for i, name in enumerate(names):
        height, width = (64, 80) if i % 2 else (70, 50)
        image = cv2.GaussianBlur(random.normal(90, 25, (height, width)).astype(np.float32), (0, 0), 3)
        mask = np.zeros((height, width), np.uint8)
        y, x = random.integers(8, height - 8), random.integers(8, width - 8)
        mask[y - 1 : y + 2, x - 1 : x + 2] = 255
        image[mask > 0] += 110
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image.clip(0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    (folder / "50_50" / "train.txt").write_text("\n".join(names[:8]))
    (folder / "50_50" / "test.txt").write_text("\n".join(names[8:]))
    return folder


@pytest.fixture
def tiny_recipe():
    """Content of a recipe that trains a num2 network for six steps in two phases."""
    return {
        "name": "tiny",
        "network": {"name": "dnanet", "width": 2},
        "data": {"validation": 2},
        "bce": 0.5,
        "phases": [
            {"steps": 4, "batch": 4, "crop": 32, "lr": 0.01, "warm_up": 2},
            {"steps": 2, "batch": 2, "crop": 64, "lr": 0.005, "all_images": True},
        ],
    }


@pytest.fixture
def engine(tmp_path):
    """Writes the manifest of an engine that a row's composed recipe would have made."""

    def write(row, data_set="nudt", seed=1, iou=0.8, name=None, **changes):
        teacher = f"runs/teacher-{seed}" if ROWS[row].distiller else None
        content = compose(row, "best", data_set, 20, seed, teacher)
        recipe, made_of = content.pop("name"), PAPER.data_sets[data_set]
        name = name or f"{recipe}-{seed}"
        result = TestResult(
            data_set="any-name",
            split="test",
            split_hash=changes.pop("test_hash", made_of.test),
            threshold=0.5,
            matching="nearest",
            images=changes.pop("images", made_of.test_images),
            targets=900,
            iou=iou,
            niou=iou,
            pd=0.95,
            fa=1.25e-5,
            counts={},
            seed=seed,
        )
        made = {
            "recipe_content": content,
            "split_hash": made_of.train,
            "images_seen": 5000,
            "recipe_changes": [],
        }
        manifest = Manifest(
            name=name,
            network=content["network"]["name"],
            width=content["network"]["width"],
            distiller=ROWS[row].distiller,
            training_data=f"{made_of.name} train",
            normalisation=Normalisation(mean=(0.4,), std=(0.2,)),
            input_channels=1,
            size_multiple=16,
            threshold=0.5,
            opset=17,
            sha256=hashlib.sha256(name.encode()).hexdigest(),
            parameters=298_664,
            cost_gmac=0.9725,
            test_results=changes.pop("results", [result]),
            provenance=Provenance(commit="", recipe=recipe, seed=seed, **{**made, **changes}),
        )
        folder = tmp_path / "engines" / name
        folder.mkdir(parents=True)
        (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest.model_dump(mode="json")))
        return folder

    return write
