"""The recorder in a process of its own: what it writes is what was published."""

import os
import signal

import pytest
from metrics_harness import SECOND, START, blob
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from dsad_metrics import ros2_bag
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.source import BagSource


@pytest.fixture(autouse=True)
def own_recorder(monkeypatch):
    """``ros2 bag record`` does not take its place."""
    monkeypatch.setenv("PATH", ros2_bag.without(os.environ)["PATH"])


def test_messages_come_back_equal(start, client, tmp_path):
    bag = tmp_path / "run"
    process = start("recorder", bag=bag)
    client.wait_for_listener(client.image, client.truth, client.camera_info, client.mask, client.timing)
    stamps = [START + n * SECOND // 25 for n in range(20)]
    for n, stamp in enumerate(stamps):
        client.send_image(client.truth, stamp, blob(n, 4))
        client.announce(stamp)
        client.send_image(client.image, stamp, blob(n, 4) // 2)
        client.answer(stamp, blob(n, 4), published_ms=1000 + 40 * n)
    client.wait(
        lambda: int(client.fact_of("recorder", "messages") or 0) >= 5 * len(stamps), "100 messages written"
    )
    assert process.interrupt() == 0, process.log()

    reader = BagReader(bag)
    counts = {topic.name.rpartition("/")[2]: topic.count for topic in reader.topics()}
    assert counts == dict.fromkeys(
        ("image_raw", "camera_info", "ground_truth", "mask", "timing"), len(stamps)
    )
    frames = list(BagSource(bag))
    assert [int(frame.name) for frame in frames] == stamps
    for n, frame in enumerate(frames):
        assert (frame.image == blob(n, 4) // 2).all()
        assert (frame.mask == blob(n, 4)).all()
    assert f"wrote {bag}: 100 messages" in process.log()


def test_a_killed_recorder_leaves_what_it_had_put_on_the_disk(start, client, tmp_path):
    """SIGKILL while frames go on coming, in the second part of the bag."""
    bag = tmp_path / "run"
    process = start("recorder", bag=bag, part_duration=1.0, topics="['image_raw']")
    client.wait_for_listener(client.image)
    sent: list[int] = []

    def on_disk():
        sent.append(START + len(sent) * SECOND // 25)
        client.send_image(client.image, sent[-1], blob(len(sent) % 30, 4))
        on_disk = int(client.fact_of("recorder", "on disk") or 0)
        return on_disk if (bag / "metadata.yaml").exists() and on_disk > 50 else 0

    reported = client.wait(on_disk, "a part that is finished and a report of what is on the disk")
    assert process.interrupt(signal.SIGKILL) == -signal.SIGKILL
    stamps = [int(frame.name) for frame in BagSource(bag)]
    assert len(stamps) >= reported and stamps == sent[: len(stamps)]
    assert f"{len(stamps)} messages are recovered" in BagReader(bag).info().notes[0]


def test_types_are_learned_and_best_effort_publishers_are_heard(start, client, tmp_path):
    bag = tmp_path / "run"
    best_effort = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    camera = client.node.create_publisher(Image, "camera", best_effort)
    note = client.node.create_publisher(String, "note", 10)
    process = start("recorder", bag=bag, topics="['camera','note','never']")
    client.wait_for_listener(camera, note)

    def recorded():
        client.send_image(camera, START, blob(3, 3))
        note.publish(String(data="text"))
        return int(client.fact_of("recorder", "messages") or 0) > 10

    client.wait(recorded, "messages in the bag")
    assert client.fact_of("recorder", "not yet published") == "never"
    assert process.interrupt() == 0
    types = {
        topic.name.rpartition("/")[2]: (topic.type, topic.count > 0) for topic in BagReader(bag).topics()
    }
    assert types == {"camera": ("sensor_msgs/msg/Image", True), "note": ("std_msgs/msg/String", True)}


def test_nothing_received_makes_no_bag(start, client, tmp_path):
    process = start("recorder", bag=tmp_path / "bags" / "run")
    client.wait_for_listener(client.mask)
    assert process.interrupt() == 0
    assert list((tmp_path / "bags").iterdir()) == []
    assert "nothing was received" in process.log()


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "'bag' and 'topics' must name"),
        ({"bag": "/proc/no/bag"}, "cannot be written"),
        ({"bag": "run", "topics": "['odd:odd_msgs/msg/Odd']"}, "'odd_msgs/msg/Odd'"),
    ],
)
def test_bad_parameters_are_one_line(start, parameters, says):
    process = start("recorder", **parameters)
    assert process.wait() == 2
    assert says in process.log()
    assert "Traceback" not in process.log()


def test_the_seconds_around_a_track_alone_are_recorded(start, client, tmp_path):
    folder = tmp_path / "events"
    process = start("recorder", bag=folder, around="confirmed", before=600.0, after=600.0)
    client.wait_for_listener(client.image, client.tracks)
    client.send_image(client.image, START, blob(3, 4))
    client.send_tracks(START, {5: (3.0, 4.0)}, 32, 40)
    client.wait(lambda: int(client.fact_of("recorder", "messages") or 0) == 2, "the frame and its tracks")
    assert process.interrupt() == 0 and "wrote 1 bags of tracks" in process.log()
    (bag,) = folder.iterdir()
    assert bag.name.endswith("-track5") and len(list(BagSource(bag))) == 1
