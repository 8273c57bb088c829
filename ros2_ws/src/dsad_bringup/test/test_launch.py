"""The detector's launch file. To load it takes ROS 2's own launch, which robots have and PyPI has not."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsad_bringup.arguments import LAUNCH_ARGUMENTS as ARGUMENTS

PACKAGE = Path(__file__).parents[1]
LAUNCH_FILE = PACKAGE / "launch" / "detector.launch.py"
VEHICLE = Path(__file__).with_name("vehicle.launch.py")
NEEDS_LAUNCH = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None or importlib.util.find_spec("ros2launch") is None,
    reason="needs ROS 2's launch_ros and ros2launch (apt install ros-$ROS_DISTRO-ros2launch)",
)
SECONDS = 45


@pytest.fixture
def vehicle(isolated, tmp_path):
    """The vehicle's launch and its log; whatever it started is gone after the test."""
    command = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]
    with open(tmp_path / "log", "w") as log:
        launch = subprocess.Popen(
            [*command, "launch", "--noninteractive", VEHICLE], stdout=log, stderr=subprocess.STDOUT
        )
    yield launch, tmp_path / "log"
    for child in children(launch.pid):
        os.kill(child, signal.SIGKILL)
    if launch.poll() is None:
        launch.kill()
    launch.wait(timeout=SECONDS)


def children(parent):
    """Process ids and command lines of the children of a process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found[int(stat.parent.name)] = (stat.parent / "cmdline").read_text().replace("\0", " ")
    return found


def detectors(launch):
    return {
        name: pid
        for pid, line in children(launch.pid).items()
        for name in ("left", "right")
        if f"__ns:=/{name}/irst" in line
    }


def wait_until(condition, log=None):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, log.read_text() if log else "not in time"
        time.sleep(0.02)


@NEEDS_LAUNCH
def test_a_vehicle_outlives_a_detector_that_is_killed_and_gets_it_back(vehicle):
    launch, log = vehicle
    wait_until(lambda: log.read_text().count("engine local-contrast (") >= 2, log)
    before = detectors(launch)
    assert set(before) == {"left", "right"}
    os.kill(before["left"], signal.SIGKILL)
    wait_until(lambda: log.read_text().count("engine local-contrast (") >= 3, log)
    after = detectors(launch)
    assert after["left"] != before["left"] and after["right"] == before["right"]
    assert launch.poll() is None and any("sleep infinity" in line for line in children(launch.pid).values())


@NEEDS_LAUNCH
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_detector_outlives_the_launch_however_it_ends(vehicle, number):
    launch, log = vehicle
    wait_until(lambda: len(detectors(launch)) == 2, log)
    pids = detectors(launch).values()
    launch.send_signal(number)
    launch.wait(timeout=SECONDS)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), log)
    assert number != signal.SIGINT or "Traceback" not in log.read_text()


def test_the_readme_explains_every_argument():
    rows = [line for line in (PACKAGE / "README.md").read_text().splitlines() if line.startswith("| `")]
    explained = {word.strip("`") for row in rows for word in row.split("|")[1].replace(",", " ").split()}
    assert {argument.name for argument in ARGUMENTS} <= explained


def test_it_ends_nobody_who_includes_it():
    text = LAUNCH_FILE.read_text()
    assert "Shutdown" not in text and "SetEnvironmentVariable" not in text


@NEEDS_LAUNCH
def test_it_declares_the_arguments_of_the_detector():
    spec = importlib.util.spec_from_file_location("detector_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    declared = module.generate_launch_description().get_launch_arguments()
    assert [argument.name for argument in declared] == [argument.name for argument in ARGUMENTS]
