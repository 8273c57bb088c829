"""The examples of the documentation run: Python against a detector, C++ where rclcpp is installed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
#: Generous: loaded cores. Waiting ends as soon as both lines are there.
SECONDS = 300


def has_rclcpp():
    prefixes = os.environ.get("CMAKE_PREFIX_PATH", "").split(":") + os.environ.get(
        "AMENT_PREFIX_PATH", ""
    ).split(":")
    return any(Path(prefix, "share/rclcpp/cmake").is_dir() for prefix in prefixes if prefix)


def cpp_example(folder):
    """Build the C++ example; its program."""
    # Changes nothing where ROS 2 comes from apt, as in `make build`.
    wheels = EXAMPLES.parents[1] / "ros2_ws" / "wheel_paths.cmake"
    for command in (
        ["cmake", "-S", EXAMPLES / "follow_tracks_cpp", "-B", folder, f"-DCMAKE_PROJECT_INCLUDE={wheels}"],
        ["cmake", "--build", folder],
    ):
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        assert result.returncode == 0, result.stdout + result.stderr
    return folder / "follow_tracks"


@pytest.mark.parametrize(
    "language",
    [
        "python",
        pytest.param(
            "cpp",
            marks=[
                pytest.mark.skipif(
                    not has_rclcpp(), reason="needs rclcpp (apt install ros-$ROS_DISTRO-rclcpp)"
                ),
                pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake"),
            ],
        ),
    ],
)
def test_the_example_prints_masks_and_tracks(tmp_path, language):
    """A bag in lock-step has its own time: tracks are confirmed however slow the machine is."""
    program = [sys.executable, "-u", EXAMPLES / "follow_tracks.py"]
    if language == "cpp":
        program = [cpp_example(tmp_path / "build")]
    bag = tmp_path / "bag"
    made = ["dsad", "bag", "make", "synthetic", bag, "--frames", "40", "--size", "160x128", "--seed", "11"]
    subprocess.run(made, check=True, capture_output=True, timeout=SECONDS)
    example = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    words = ["source:=bag", f"bag:={bag}", "lock_step:=true", "engine:=dsad-num4-field", "loop:=true"]
    with open(tmp_path / "log", "w") as log:
        suite = subprocess.Popen(["dsad", "up", *words], stdout=log, stderr=subprocess.STDOUT)
    # A wait without an end would hide what the two printed.
    guard = threading.Timer(SECONDS, example.kill)
    guard.start()
    try:
        seen = {"mask": None, "track": None}
        for line in example.stdout:
            for kind in seen:
                seen[kind] = seen[kind] or (line if re.search(rf": {kind} ", line) else None)
            if all(seen.values()):
                break
        assert all(seen.values()), f"{seen}\n{(tmp_path / 'log').read_text()[-2000:]}"
        assert re.search(r"mask \d+\.\d{9}: 160x128, \d+ px", seen["mask"])
        assert re.search(r"track \d+: \(\d+\.\d, \d+\.\d\) px, \(-?\d+\.\d, -?\d+\.\d\) px/s", seen["track"])
        example.send_signal(signal.SIGINT)
        rest = example.communicate(timeout=SECONDS)[0]
        assert example.returncode == 0, rest[-2000:]
    finally:
        guard.cancel()
        example.kill()
        example.wait()
        suite.send_signal(signal.SIGINT)
        suite.wait(timeout=SECONDS)
