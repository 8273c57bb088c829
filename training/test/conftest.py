import cv2
import numpy as np
import pytest
import torch

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
