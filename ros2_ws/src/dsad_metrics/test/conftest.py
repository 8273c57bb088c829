"""An isolated DDS domain, and nodes in processes of their own that end with the test."""

import os
from pathlib import Path

import pytest

# Before rclpy reads them. Domains above 101 reach into Linux's ephemeral ports.
os.environ["ROS_DOMAIN_ID"] = str(os.getpid() % 101 + 1)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
PROFILE = Path(__file__).resolve().parents[4] / "launch" / "fastdds.xml"
for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
    os.environ[variable] = str(PROFILE)

import rclpy  # noqa: E402
from metrics_harness import Client, NodeProcess  # noqa: E402


@pytest.fixture(scope="session")
def ros():
    """rclpy of the test process."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def start(tmp_path):
    """Function that starts an executable of this package in a namespace of its own."""
    running = []

    def make(executable: str, **parameters) -> NodeProcess:
        running.append(
            NodeProcess(executable, f"/{tmp_path.name}", tmp_path / f"{executable}.log", **parameters)
        )
        return running[-1]

    yield make
    for process in running:
        process.end()


@pytest.fixture
def client(ros, tmp_path):
    """Plays source and detector, and listens to what the nodes say."""
    one = Client(f"/{tmp_path.name}")
    yield one
    one.close()
