from pathlib import Path

import pytest
import rclpy
from processes import Sink

from dsad_common.isolation import isolate

isolate(Path(__file__).resolve().parents[4])


@pytest.fixture(scope="session")
def ros():
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def sink(ros):
    sink = Sink()
    yield sink
    sink.close()
