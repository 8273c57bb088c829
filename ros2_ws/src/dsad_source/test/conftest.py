import os
from pathlib import Path

import pytest

# Before rclpy is first initialised: our own corner of the network, and frames larger than Fast DDS's
# default shared-memory segment.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
    os.environ.setdefault(variable, str(Path(__file__).parents[4] / "launch" / "fastdds.xml"))

import rclpy  # noqa: E402
from processes import Sink  # noqa: E402


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
