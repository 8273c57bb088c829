"""The detector's launch file. To load it takes ROS 2's own launch, which robots have and PyPI has not."""

import importlib.util
from pathlib import Path

import pytest

from dsad_bringup.arguments import ARGUMENTS

PACKAGE = Path(__file__).parents[1]
LAUNCH_FILE = PACKAGE / "launch" / "detector.launch.py"


def test_the_readme_explains_every_argument():
    rows = [line for line in (PACKAGE / "README.md").read_text().splitlines() if line.startswith("| `")]
    explained = {word.strip("`") for row in rows for word in row.split("|")[1].replace(",", " ").split()}
    assert {argument.name for argument in ARGUMENTS} <= explained


def test_it_ends_nobody_who_includes_it():
    text = LAUNCH_FILE.read_text()
    assert "Shutdown" not in text and "SetEnvironmentVariable" not in text


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None,
    reason="needs ROS 2's launch_ros (apt install ros-$ROS_DISTRO-launch-ros)",
)
def test_it_declares_the_arguments_of_the_detector():
    spec = importlib.util.spec_from_file_location("detector_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    declared = module.generate_launch_description().get_launch_arguments()
    assert [argument.name for argument in declared] == [argument.name for argument in ARGUMENTS]
