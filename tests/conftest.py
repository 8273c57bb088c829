"""Whole-system tests: real processes, real middleware, each test in a ROS domain of its own."""

import pytest

from dsad_common.isolation import own_domain


@pytest.fixture(autouse=True)
def isolated(monkeypatch):
    """Two runs of the suite on one machine, and two tests of one run, must not hear each other."""
    with own_domain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield
