import signal

import pytest

from dsad_common.isolation import own_domain

# A shell's background job ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def isolated(monkeypatch):
    """An own ROS domain on this machine, so that no other test is heard."""
    with own_domain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield
