"""Whole-system tests: real processes, real middleware, each test in a ROS domain of its own."""

import os

import pytest


@pytest.fixture(autouse=True)
def own_domain(monkeypatch, request):
    """Two runs of the suite on one machine, and two tests of one run, must not hear each other."""
    # Above 101 the ports of a domain reach into those that Linux hands out to anybody.
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + (os.getpid() * 7 + hash(request.node.nodeid)) % 101))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
