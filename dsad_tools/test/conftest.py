"""Shared fixtures: a real engine that is there at once."""

import pytest
from dsad_core.engines.load import load_engine


@pytest.fixture(scope="session")
def engine():
    """The classical baseline as shipped, on one thread."""
    loaded = load_engine("local-contrast", "cpu", threads=1)
    yield loaded
    loaded.close()
