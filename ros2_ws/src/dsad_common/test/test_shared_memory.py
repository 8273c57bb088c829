"""A node where shared memory is full: UDP, and a warning."""

import os
from types import SimpleNamespace

import pytest

from dsad_common import start


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTDDS_BUILTIN_TRANSPORTS", raising=False)
    profile = tmp_path / "profile.xml"
    for name in start.PROFILES:
        monkeypatch.setenv(name, str(profile))
    yield profile
    os.environ.pop("FASTDDS_BUILTIN_TRANSPORTS", None)


@pytest.mark.parametrize(
    "text, free, leaves", [("SHM", 1 << 20, True), ("UDPv4", 1 << 20, False), ("SHM", 1 << 30, False)]
)
def test_full_shared_memory_is_left_and_said(environment, monkeypatch, text, free, leaves):
    environment.write_text(text)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    told = start.leave_shared_memory()
    assert bool(told) == leaves and ("/dev/shm" in told) == (str(environment) in told) == leaves
    assert (os.environ.get("FASTDDS_BUILTIN_TRANSPORTS") == "UDPv4") == leaves
    assert (start.PROFILES[0] in os.environ) != leaves


def test_without_room_for_rclpy_a_node_ends_in_one_line(environment, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=0, f_frsize=4096))
    with pytest.raises(SystemExit, match="has 0 bytes free.*--shm-size"):
        start.leave_shared_memory()
