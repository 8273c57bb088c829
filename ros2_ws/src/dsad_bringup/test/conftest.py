import pytest

from dsad_common.isolation import own_domain


@pytest.fixture
def isolated(monkeypatch):
    """An own ROS domain on this machine, so that no other test is heard."""
    with own_domain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield
