"""An isolated DDS domain, and nodes in processes of their own that end with the test."""

from pathlib import Path

import pytest
import rclpy
from metrics_harness import Client

from dsad_common.isolation import isolate
from dsad_common.testing import NodeProcess

isolate(Path(__file__).resolve().parents[4])


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
            NodeProcess(
                "dsad_metrics",
                executable,
                f"/{tmp_path.name}",
                tmp_path / f"{executable}.log",
                **parameters,
            )
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
