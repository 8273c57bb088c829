"""A recording that was cut off anywhere gives back every message that was on the disk."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader

from dsad_core.errors import BagError
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.recording import Recording
from dsad_tools.bags.source import BagSource
from dsad_tools.bags.types import IMAGE, typestore
from dsad_tools.bags.write import BagWriter
from dsad_tools.scenes.generator import SceneGenerator

STRING = "std_msgs/msg/String"
SECOND = 10**9


def text(number):
    message = typestore().types[STRING](data=f"message {number}")
    return bytes(typestore().serialize_cdr(message, STRING))


def numbers(path):
    return [int(message.data.split()[1]) for _, _, message in BagReader(path).messages()]


def record(path, count, **limits):
    recording = Recording(path, **limits)
    for number in range(count):
        topic = f"/{'ab'[number % 2]}"
        recording.add_topic(topic, STRING)
        recording.write(topic, number * SECOND, text(number))
    return recording


def test_parts_split_by_time_are_one_bag_for_every_reader(tmp_path):
    record(tmp_path / "bag", 10, part_seconds=4.0).close()
    names = sorted(entry.name for entry in (tmp_path / "bag").iterdir())
    assert names == ["bag_0.mcap", "bag_1.mcap", "bag_2.mcap", "metadata.yaml"]
    info = BagReader(tmp_path / "bag").info()
    assert (info.messages, info.start_ns, info.duration_ns, info.notes) == (10, 0, 9 * SECOND, ())
    assert [(topic.name, topic.count) for topic in info.topics] == [("/a", 5), ("/b", 5)]
    assert numbers(tmp_path / "bag") == list(range(10))
    with AnyReader([tmp_path / "bag"]) as reader:
        assert [stamp for _, stamp, _ in reader.messages()] == [n * SECOND for n in range(10)]
    # Each part is a bag by itself, with an index.
    with Reader(tmp_path / "bag" / "bag_1.mcap") as part:
        assert part.message_count == 4 and part.storage.chunks


def test_parts_split_by_size(tmp_path):
    record(tmp_path / "bag", 100, part_bytes=1000).close()
    parts = list((tmp_path / "bag").glob("*.mcap"))
    assert len(parts) > 3 and numbers(tmp_path / "bag") == list(range(100))


def test_a_clock_that_jumps_back_begins_a_part(tmp_path):
    recording = record(tmp_path / "bag", 3)
    for number in (3, 4):
        recording.write("/a", (number - 3) * SECOND, text(number))
    recording.sync()
    assert len(list((tmp_path / "bag").glob("*.mcap"))) == 2
    assert numbers(tmp_path / "bag") == [0, 1, 2, 3, 4]


def test_what_was_synced_is_read_while_the_recording_goes_on(tmp_path):
    recording = record(tmp_path / "bag", 10, part_seconds=4.0)
    recording.sync()
    assert numbers(tmp_path / "bag") == list(range(10))
    info = BagReader(tmp_path / "bag").info()
    assert info.messages == 10 and "10 messages are recovered" in info.notes[0]
    # What ros2 bag reads of it: the parts that are finished.
    with Reader(tmp_path / "bag") as finished:
        assert finished.message_count == 8
    recording.close()
    assert BagReader(tmp_path / "bag").info().notes == ()


@pytest.mark.parametrize("damage", ["cut", "zeros"])
def test_a_part_cut_anywhere_gives_the_messages_before(tmp_path, damage):
    """``zeros``: the file has its length, but its last blocks never reached the disk."""
    recording = Recording(tmp_path / "whole")
    recording.add_topic("/a", STRING)
    part = tmp_path / "whole" / "whole_0.mcap"
    synced = {0: 0}
    for number in range(5):
        recording.write("/a", number, text(number))
        recording.sync()
        synced[number + 1] = part.stat().st_size
    content = part.read_bytes()
    recording.close()
    (tmp_path / "bag").mkdir()
    for length in range(0, len(content), 7):
        rest = len(content) - length if damage == "zeros" else 0
        (tmp_path / "bag" / "bag_0.mcap").write_bytes(content[:length] + bytes(rest))
        on_disk = max(number for number, size in synced.items() if size <= length)
        found = numbers(tmp_path / "bag")
        # Of what was not synced yet, some may be there all the same.
        assert found in (list(range(on_disk)), list(range(on_disk + 1)))


def test_a_single_cut_off_file_opens_too(tmp_path):
    recording = record(tmp_path / "bag", 4)
    recording.sync()
    assert numbers(tmp_path / "bag" / "bag_0.mcap") == [0, 1, 2, 3]


def test_frames_of_a_cut_off_bag_are_a_source_that_says_so(tmp_path):
    with BagWriter(tmp_path / "made", fps=50.0) as writer:
        for sample in SceneGenerator(64, 64, 6, seed=1):
            writer.write(sample)
    recording = Recording(tmp_path / "bag")
    for topic, stamp, data in BagReader(tmp_path / "made").messages(raw=True):
        recording.add_topic(
            topic, next(t.type for t in BagReader(tmp_path / "made").topics() if t.name == topic)
        )
        recording.write(topic, stamp, data)
    recording.sync()
    source = BagSource(tmp_path / "bag")
    assert len(list(source)) == 6 and "cut off" in source.notes[0]
    assert next(topic.type for topic in BagReader(tmp_path / "bag").topics() if "raw" in topic.name) == IMAGE


WRITER = """
import os, sys
sys.path[:0] = {path!r}
from test_bags_recording import STRING, text
from dsad_tools.bags.recording import Recording
recording = Recording({bag!r}, part_bytes=20_000)
recording.add_topic("/a", STRING)
for number in range(10**9):
    recording.write("/a", number, text(number))
    if number % 100 == 99:
        recording.sync()
        print(number, flush=True)
"""


def test_a_writer_killed_in_the_middle_loses_nothing_that_was_synced(tmp_path):
    program = WRITER.format(path=[os.path.dirname(__file__), *sys.path], bag=str(tmp_path / "bag"))
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    for line in writer.stdout:
        if int(line) > 2000:
            break
    writer.send_signal(signal.SIGKILL)
    last = max([int(line), *map(int, writer.stdout.read().split())])
    writer.wait()
    writer.stdout.close()
    found = numbers(tmp_path / "bag")
    assert len(found) > last and found == list(range(len(found)))


def test_a_bag_that_exists_is_refused_and_an_empty_one_leaves_nothing(tmp_path):
    Recording(tmp_path / "bag").discard()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagError, match="exists already"):
        Recording(tmp_path / "bag")


def test_finished_parts_survive_a_copy_without_metadata(tmp_path):
    record(tmp_path / "bag", 10, part_seconds=4.0).close()
    (tmp_path / "bag" / "metadata.yaml").unlink()
    shutil.move(tmp_path / "bag", tmp_path / "copy")
    assert numbers(tmp_path / "copy") == list(range(10))


def test_metadata_that_a_full_disk_left_empty_are_done_without(tmp_path):
    record(tmp_path / "bag", 10, part_seconds=4.0).close()
    (tmp_path / "bag" / "metadata.yaml").write_bytes(b"")
    assert numbers(tmp_path / "bag") == list(range(10))
