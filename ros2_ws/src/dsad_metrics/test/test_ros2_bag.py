"""``ros2 bag record`` for our recorder. It comes with ROS 2 from apt, and PyPI has it not: there a part is skipped."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from metrics_harness import SECOND, START, blob
from rclpy.serialization import serialize_message

from dsad_common.testing import wait_until
from dsad_metrics import ros2_bag
from dsad_msgs.msg import EngineInfo
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.recording import Recording
from dsad_tools.bags.source import BagSource

REAL = pytest.mark.skipif(
    not ros2_bag.installed(), reason="needs ros2 bag (apt install ros-$ROS_DISTRO-ros2bag)"
)


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


def test_it_ends_before_the_disk_is_full(tmp_path, capfd):
    """``ros2 bag record`` ignores a write that fails, and its bag ends without metadata."""
    words = [sys.executable, "-c", WRITES.format(status=0), str(tmp_path / "bag")]
    assert ros2_bag.record(words, tmp_path / "bag", spare=1 << 62) == 1
    assert (tmp_path / "bag" / "metadata.yaml").exists()
    assert "free some space" in capfd.readouterr().err


def test_an_end_of_its_own_is_handed_on(tmp_path):
    assert ros2_bag.record([sys.executable, "-c", "raise SystemExit(3)"], tmp_path) == 3


@REAL
def test_it_knows_the_options(tmp_path):
    known = subprocess.run([shutil.which("ros2"), "bag", "record", "--help"], capture_output=True, text=True)
    for word in words_for(tmp_path):
        assert not word.startswith("--") or word in known.stdout


def counts_by_ros2_bag(bag):
    """Messages by topic as ``ros2 bag info`` says; None where it cannot read the bag."""
    result = subprocess.run(["ros2", "bag", "info", bag], capture_output=True, text=True)
    found = re.findall(r"Topic: (\S+) \| Type: \S+ \| Count: (\d+)", result.stdout)
    return None if result.returncode else {topic: int(count) for topic, count in found}


def counts_by_us(bag):
    return {topic.name: topic.count for topic in BagReader(bag).topics()}


@REAL
@pytest.mark.parametrize("end", ["SIGINT", "SIGKILL of the node", "SIGKILL of all"])
def test_what_it_records_is_read_by_itself_and_by_us(start, client, tmp_path, end):
    bag = tmp_path / "flights" / "run"
    client.engine.publish(EngineInfo(name="latched"))
    process = start("recorder", bag=bag, topics="['image_raw','engine']")
    client.wait_for_listener(client.image, client.engine)
    sent: list[int] = []

    def on_disk():
        sent.append(START + len(sent) * SECOND // 25)
        client.send_image(client.image, sent[-1], blob(len(sent) % 30, 4))
        return sum(file.stat().st_size for file in bag.glob("*.mcap")) > 2 * (1 << 16)

    client.wait(on_disk, "two chunks on the disk")
    (child,) = psutil.Process(process.pid).children()
    if end == "SIGINT":
        assert process.interrupt() == 0, process.log()
    elif end == "SIGKILL of the node":
        process.interrupt(signal.SIGKILL)
    else:
        child.kill()
        assert process.wait() != 0
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)

    stamps = [int(frame.name) for frame in BagSource(bag)]
    assert stamps == sent[sent.index(stamps[0]) :][: len(stamps)] and len(stamps) > 50
    counts = counts_by_us(bag)
    assert counts == {client.image.topic_name: len(stamps), client.engine.topic_name: 1}
    if end == "SIGKILL of all":
        assert f"{len(stamps) + 1} messages are recovered" in BagReader(bag).info().notes[0]
        subprocess.run(["ros2", "bag", "reindex", bag, "-s", "mcap"], check=True, capture_output=True)
    assert counts_by_ros2_bag(bag) == counts


@REAL
def test_it_reads_what_our_own_recorder_writes(tmp_path):
    """While the bag grows, the parts that are finished; after a kill, and its own reindexing, all that is there."""
    recording = Recording(tmp_path / "run", part_seconds=1.0)
    recording.add_topic("/irst/engine", "dsad_msgs/msg/EngineInfo")
    data = serialize_message(EngineInfo(name="an engine"))
    for n in range(40):
        recording.write("/irst/engine", START + n * SECOND // 25, data)
    recording.sync()
    assert counts_by_ros2_bag(tmp_path / "run") == {"/irst/engine": 25}
    killed = shutil.copytree(tmp_path / "run", tmp_path / "killed")
    assert counts_by_us(killed) == {"/irst/engine": 40}
    subprocess.run(["ros2", "bag", "reindex", killed, "-s", "mcap"], check=True, capture_output=True)
    assert counts_by_ros2_bag(killed) == {"/irst/engine": 40}
    recording.close()
    assert counts_by_ros2_bag(tmp_path / "run") == {"/irst/engine": 40}
