import re
import time

import cv2
import numpy as np
import pytest
from processes import Source, stamps
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from dsad_common.qos import newest
from dsad_common.stamps import stamp_ns
from dsad_core.frame.codec import decode_message
from dsad_tools.bags.raw import RawBagWriter
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.write import BagWriter
from dsad_tools.data.sample import Sample

FPS = 50.0


def write_bag(path, count=8, size=(48, 64), namespace="/irst", storage="mcap", fps=FPS):
    """Numbered mono16 frames with masks; their recorded stamps."""
    with BagWriter(path, storage=storage, fps=fps, namespace=namespace) as bag:
        mask = np.zeros(size, np.uint8)
        mask[5:8, 9:12] = 255
        return [bag.write(Sample(f"{n}", np.full(size, 600 * n, np.uint16), mask)) for n in range(count)]


def raw_messages(path, topic):
    return [data for _, _, data in BagReader(path).messages(raw=True, topics=[topic])]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_every_frame_arrives_with_its_bytes_and_stamp(sink, tmp_path, storage):
    recorded = write_bag(tmp_path / "bag", 30, storage=storage)
    images = sink.listen(Image, "image_raw", raw=True)
    infos = sink.listen(CameraInfo, "camera_info")
    truths = sink.listen(Image, "ground_truth")
    with Source("bag_replay", bag=tmp_path / "bag", wait_for="['listener']") as source:
        status, said = sink.spin_to_end(source)
    assert status == 0 and "end of data: 30 frames" in said, said
    assert images == raw_messages(tmp_path / "bag", "/irst/image_raw")
    assert stamps(infos) == stamps(truths) == recorded


def test_compressed_frames_arrive_as_raw_ones(sink, tmp_path):
    counts = np.random.default_rng(0).integers(6000, 9000, (5, 48, 64), np.uint16)
    with RawBagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/irst/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
        for number, frame in enumerate(counts, start=1):
            message = CompressedImage(format="16UC1; png compressed")
            message.header.stamp.sec = number
            message.data = cv2.imencode(".png", frame)[1].tobytes()
            bag.write("/irst/image_raw/compressed", number * 20_000_000, serialize_message(message))
    images = sink.listen(Image, "image_raw")
    with Source("bag_replay", bag=tmp_path / "bag", wait_for="['listener']") as source:
        status, said = sink.spin_to_end(source)
    assert status == 0 and "end of data: 5 frames" in said, said
    assert stamps(images) == [number * 10**9 for number in range(1, 6)]
    for image, frame in zip(images, counts):
        np.testing.assert_array_equal(decode_message(image), frame)


def test_restamped_messages_differ_in_nothing_else(sink, tmp_path):
    recorded = write_bag(tmp_path / "bag")
    images, infos, truths = sink.listen_to_inputs()
    before = time.time_ns()
    with Source(
        "bag_replay",
        bag=tmp_path / "bag",
        restamp=True,
        rate=2.0,
        loop=True,
        limit=12,
        wait_for="['listener']",
    ) as source:
        status, said = sink.spin_to_end(source)
    assert status == 0 and len(images) == 12, said
    assert stamps(images) == stamps(infos) == stamps(truths) == sorted(set(stamps(images)))
    # The stamps are when frames went out, across the end of the bag too.
    assert before < stamps(images)[0] and stamps(images)[-1] < time.time_ns()
    data = raw_messages(tmp_path / "bag", "/irst/image_raw")
    originals = [deserialize_message(message, Image) for message in data]
    assert stamps(originals) == recorded
    for image, original in zip(images, originals + originals):
        original.header.stamp = image.header.stamp
        assert image == original


def test_loops_until_limit(sink, tmp_path):
    recorded = write_bag(tmp_path / "bag", 5)
    images, _, truths = sink.listen_to_inputs()
    with Source("bag_replay", bag=tmp_path / "bag", loop=True, limit=12) as source:
        status, said = sink.spin_to_end(source)
    assert status == 0 and "end of data: 12 frames" in said, said
    assert stamps(images) == (recorded * 3)[:12]
    assert stamps(truths) == stamps(images)


def test_steps_start_pause_and_start_over(sink, tmp_path):
    recorded = write_bag(tmp_path / "bag", 20)
    images, _, truths = sink.listen_to_inputs()
    with Source("bag_replay", bag=tmp_path / "bag", start_paused=True, exit_when_done=False) as source:
        sink.wait(lambda: sink.node.count_publishers("/irst/image_raw"))
        sink.order("step")
        sink.wait(lambda: len(images) == 1)
        sink.order("step")
        sink.wait(lambda: len(images) == 2)
        sink.spin_for(5 / FPS)
        assert stamps(images) == stamps(truths) == recorded[:2]

        sink.order("start")
        sink.wait(lambda: len(images) >= 5)
        assert "paused" in sink.order("pause")
        sink.spin_for(2 / FPS)
        so_far = len(images)
        sink.spin_for(5 / FPS)
        assert so_far == len(images) < 20

        sink.order("start")
        sink.wait(lambda: len(images) == 20)
        assert stamps(images) == recorded
        sink.spin_for(0.2)
        sink.order("start")
        sink.wait(lambda: len(images) == 40)
        assert stamps(images)[20:] == recorded
        source.send_signal()
        assert source.result()[0] == 0


def test_lock_step_loses_no_frame_to_a_slow_detector(sink, tmp_path):
    recorded = write_bag(tmp_path / "bag", 40)
    frames = sink.answer_frames(seconds=0.03)
    with Source("bag_replay", bag=tmp_path / "bag", lock_step=True) as source:
        status, said = sink.spin_to_end(source)
    assert status == 0 and re.search(r"40 frames, \d+ late, 0 unanswered", said), said
    assert stamps(frames) == recorded


def test_lock_step_runs_as_fast_as_answers_come(sink, tmp_path):
    # At its own speed the bag would take half an hour.
    write_bag(tmp_path / "bag", 20, fps=0.01)
    frames = sink.answer_frames()
    with Source("bag_replay", bag=tmp_path / "bag", lock_step=True) as source:
        sink.wait(lambda: len(frames) == 20)
        assert sink.spin_to_end(source)[0] == 0


def test_lock_step_goes_on_without_an_answer_and_counts_it(sink, tmp_path):
    write_bag(tmp_path / "bag", 6)
    frames = sink.answer_frames(answers=lambda count: count not in (2, 6))
    with Source("bag_replay", bag=tmp_path / "bag", lock_step=True, lock_step_timeout=0.2) as source:
        status, said = sink.spin_to_end(source)
    # At least the two: a busy machine may give others too late.
    unanswered = re.search(r"6 frames, \d+ late, (\d+) unanswered", said)
    assert status == 0 and len(frames) == 6 and int(unanswered[1]) >= 2, said
    assert said.count("was not answered within 0.2 s") == int(unanswered[1])


def test_lock_step_does_not_mistake_a_recorder_for_a_detector(sink, tmp_path):
    write_bag(tmp_path / "bag", 2)
    sink.listen_to_inputs()
    with Source("bag_replay", bag=tmp_path / "bag", lock_step=True, wait_for_subscribers=1.0) as source:
        status, said = sink.spin_to_end(source)
    assert status == 2
    assert "nobody both subscribes to /irst/image_raw and publishes /irst/timing within 1 s" in said


def test_large_frames_reach_a_best_effort_subscriber(sink, tmp_path):
    """640x512 mono16: larger than Fast DDS's default segment, hence the profile."""
    recorded = write_bag(tmp_path / "bag", 100, size=(512, 640))
    # Deep, since it is about the transport: this process may be slow without losing what has arrived.
    best_effort = newest()
    best_effort.depth = 100
    images = sink.listen(Image, "image_raw", best_effort)
    with Source("bag_replay", bag=tmp_path / "bag", rate=2.0) as source:
        status, said = sink.spin_to_end(source)
    assert status == 0, said
    # How many of them a busy machine receives is a figure for `dsad bench drivers`.
    assert images and set(stamps(images)) <= set(recorded)


def test_clock_tells_the_recorded_time(sink, tmp_path):
    recorded = write_bag(tmp_path / "bag", 5)
    images = sink.listen(Image, "image_raw")
    clocks = sink.listen(Clock, "/clock")
    with Source("bag_replay", bag=tmp_path / "bag", clock=True, start_paused=True) as source:
        sink.wait(lambda: sink.node.count_publishers("/clock"))
        sink.order("start")
        assert sink.spin_to_end(source)[0] == 0
    assert [stamp_ns(clock.clock) for clock in clocks] == recorded == stamps(images)


def write_foreign_bag(path, messages):
    """A bag of another recorder: (topic, type name, serialised bytes), 10 ms apart."""
    types = get_typestore(Stores.ROS2_JAZZY)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        connections = {}
        for number, (topic, kind, data) in enumerate(messages):
            if topic not in connections:
                own = {"msgdef": "int32 reading\n", "rihs01": "RIHS01_0"}
                how = {"typestore": types} if kind in types.types else own
                connections[topic] = bag.add_connection(topic, kind, **how)
            bag.write(connections[topic], 1_000_000_000 + number * 10_000_000, data)


def image_bytes(number):
    image = Image(height=2, width=2, encoding="mono8", step=2, data=[number] * 4)
    image.header.stamp.sec = number + 1
    return serialize_message(image)


def test_foreign_names_are_kept_with_a_hint_or_brought_to_the_suites(sink, tmp_path):
    unknown = ("/vendor", "vendor_msgs/msg/Reading", b"\x00\x01\x00\x00\x07\x00\x00\x00")
    note = ("/note", "std_msgs/msg/String", serialize_message(String(data="hello")))
    frames = [("/thermal/image", "sensor_msgs/msg/Image", image_bytes(number)) for number in range(3)]
    write_foreign_bag(tmp_path / "bag", [note, unknown, *frames])
    foreign = sink.listen(Image, "/thermal/image")
    with Source("bag_replay", bag=tmp_path / "bag") as source:
        status, said = sink.spin_to_end(source)
    assert status == 0 and len(foreign) == 3, said
    assert "image_topic:=/thermal/image brings the two together" in said

    images = sink.listen(Image, "image_raw")
    notes = sink.listen(String, "/note")
    with Source(
        "bag_replay",
        bag=tmp_path / "bag",
        image_topic="/thermal/image",
        topics="['*']",
        wait_for="['listener']",
    ) as source:
        status, said = sink.spin_to_end(source)
    assert status == 0 and len(images) == 3 and len(foreign) == 3, said
    assert [message.data for message in notes] == ["hello"]
    assert "lacks their types: vendor_msgs/msg/Reading" in said


def no_bag(path):
    return "no/such/bag"


def no_images(path):
    write_foreign_bag(path, [("/note", "std_msgs/msg/String", serialize_message(String(data="hello")))])
    return path


def empty_folder(path):
    path.mkdir()
    return path


def truncated(path):
    write_bag(path, 20, size=(128, 128))
    file = next(path.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:2000])
    return path


@pytest.mark.parametrize("make", [no_bag, no_images, empty_folder, truncated])
def test_bad_bag_is_one_line_and_status_2(ros, tmp_path, make):
    bag = make(tmp_path / "bag")
    with Source("bag_replay", bag=bag, wait_for_subscribers=0.1) as source:
        status, said = source.result()
    lines = [line for line in said.splitlines() if "FATAL" in line]
    assert status == 2 and len(lines) == 1 and str(bag) in lines[0], said
    assert "Traceback" not in said


def test_restamp_and_clock_exclude_each_other(ros, tmp_path):
    write_bag(tmp_path / "bag", 1)
    with Source("bag_replay", bag=tmp_path / "bag", restamp=True, clock=True) as source:
        status, said = source.result()
    assert status == 2 and "restamp and clock exclude each other" in said
