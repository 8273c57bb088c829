"""Shared fixtures: a real engine that is there at once, and a frame with known targets."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import find_engine

# How long an example takes depends on what else the machine does.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def engine():
    """The classical baseline as shipped, on one thread."""
    loaded = load_engine("local-contrast", "cpu", threads=1)
    yield loaded
    loaded.close()


@pytest.fixture
def engine_dir(tmp_path):
    """A private copy of the baseline's folder, to be damaged at will."""
    return shutil.copytree(find_engine("local-contrast"), tmp_path / "local-contrast")


@pytest.fixture(scope="session")
def spots():
    """A function (height, width, centres, sigma) -> unit image: Gaussian spots on a noisy ramp."""

    def draw(height, width, centres, sigma=1.2, amplitude=0.35, seed=0):
        rows, columns = np.mgrid[:height, :width]
        noise = np.random.default_rng(seed).normal(0.0, 0.008, (height, width))
        image = 0.3 + 0.15 * columns / width + noise
        for x, y in centres:
            image += amplitude * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        return np.clip(image, 0.0, 1.0)

    return draw


@pytest.fixture(scope="session")
def lepton():
    """A function name -> frames (H, W) uint16 of a FLIR Lepton recording (CPTV).

    Tests with it run where DSAD_LEPTON names the recordings' folder and cptv is installed.
    """
    folder = os.environ.get("DSAD_LEPTON")
    if not folder:
        pytest.skip("DSAD_LEPTON names no folder of Lepton recordings")
    cptv = pytest.importorskip("cptv")

    def read(name):
        with open(Path(folder) / f"{name}.cptv", "rb") as stream:
            return [frame.pix.astype(np.uint16) for frame in cptv.CPTVReader(stream)]

    return read
