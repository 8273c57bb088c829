"""Shared fixtures: a real engine that is there at once."""

import pytest

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import find_engine


@pytest.fixture(scope="session")
def engine_dir():
    """The folder of the classical baseline as shipped."""
    return find_engine("local-contrast")


@pytest.fixture(scope="session")
def engine(engine_dir):
    """It on one thread."""
    loaded = load_engine(engine_dir, threads=1)
    yield loaded
    loaded.close()


@pytest.fixture
def detector(engine):
    """A detector on that engine."""
    return Detector(engine)
