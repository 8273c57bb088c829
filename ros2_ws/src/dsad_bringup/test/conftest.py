import os

import pytest


@pytest.fixture
def isolated(monkeypatch, request):
    """An own ROS domain on this machine, so that no other run is heard.

    Above 101 a domain's ports are among those that Linux hands out to anybody.
    """
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + (os.getpid() + 31 * hash(request.node.nodeid)) % 101))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
