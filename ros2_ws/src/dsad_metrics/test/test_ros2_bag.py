"""What is handed to ``ros2 bag record``. The command itself comes with ROS 2 from apt, and PyPI has it not."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dsad_metrics import ros2_bag


def words_for(tmp_path, **changes):
    given = {"bag": "/data/flight", "topics": ["/irst/mask", "/irst/engine"], "latched": ["/irst/engine"]}
    given |= {"part_bytes": 1 << 30, "part_seconds": 300.0, "folder": tmp_path}
    return ros2_bag.command(**(given | changes))


def following(words, option):
    return words[words.index(option) + 1]


def test_topics_are_recorded_by_their_full_names_and_no_others(tmp_path):
    pattern = following(words_for(tmp_path), "--regex")
    recorded = [
        topic
        for topic in ("/irst/mask", "/irst/engine", "/irst/mask2", "/left/irst/mask", "/irst/masks/x")
        if re.search(pattern, topic)
    ]
    assert recorded == ["/irst/mask", "/irst/engine"]


def test_files_that_the_arguments_name_are_there(tmp_path):
    words = words_for(tmp_path)
    assert yaml.safe_load(Path(following(words, "--storage-config-file")).read_text())["chunkSize"] < 1 << 20
    qos = yaml.safe_load(Path(following(words, "--qos-profile-overrides-path")).read_text())
    assert list(qos) == ["/irst/engine"] and qos["/irst/engine"]["durability"] == "transient_local"
    assert (following(words, "--max-bag-size"), following(words, "--max-bag-duration")) == (
        str(1 << 30),
        "300",
    )


RECORDER = """
import sys
from pathlib import Path
from dsad_metrics.ros2_bag import record
sys.exit(record([sys.executable, "-c", sys.argv[1], sys.argv[2]], Path(sys.argv[2])))
"""
WRITES = """
import pathlib, signal, sys
bag = pathlib.Path(sys.argv[1])
def finish(*_):
    (bag / "metadata.yaml").touch()
    sys.exit({status})
signal.signal(signal.SIGINT, finish)
bag.mkdir()
print("recording", flush=True)
while True: signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_the_recording_is_finished(tmp_path, number):
    """With a program that only finishes at SIGINT, as ``ros2 bag record`` does."""
    command = [sys.executable, "-c", RECORDER, WRITES.format(status=2), str(tmp_path / "bag")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "recording\n"
        process.send_signal(number)
        # The end of output is the end of both.
        assert process.stdout.read() == ""
    assert process.returncode == (-number if number == signal.SIGKILL else 0)
    assert (tmp_path / "bag" / "metadata.yaml").exists()


def test_an_end_of_its_own_is_handed_on(tmp_path):
    assert ros2_bag.record([sys.executable, "-c", "raise SystemExit(3)"], tmp_path) == 3


@pytest.mark.skipif(not ros2_bag.installed(), reason="needs ros2 bag (apt install ros-$ROS_DISTRO-ros2bag)")
def test_it_knows_the_options(tmp_path):
    known = subprocess.run([shutil.which("ros2"), "bag", "record", "--help"], capture_output=True, text=True)
    for word in words_for(tmp_path):
        assert not word.startswith("--") or word in known.stdout
