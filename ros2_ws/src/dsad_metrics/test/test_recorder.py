"""The recorder in a process of its own: what it writes is what was published."""

import pytest
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.source import BagSource
from metrics_harness import SECOND, START, blob
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_messages_come_back_equal(start, client, tmp_path, storage):
    bag = tmp_path / "run"
    process = start("recorder", bag=bag, storage=storage)
    client.wait_for_listener(client.image, client.truth, client.camera_info, client.mask, client.timing)
    stamps = [START + n * SECOND // 25 for n in range(20)]
    for n, stamp in enumerate(stamps):
        client.send_image(client.truth, stamp, blob(n, 4))
        client.announce(stamp)
        client.send_image(client.image, stamp, blob(n, 4) // 2)
        client.answer(stamp, blob(n, 4), published_ms=1000 + 40 * n)
    client.wait(
        lambda: int(client.fact("recorder", "messages") or 0) >= 5 * len(stamps), "100 messages written"
    )
    assert not bag.exists(), "a bag must not appear before it is complete"
    assert process.stop() == 0, process.log()

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
        return int(client.fact("recorder", "messages") or 0) > 10

    client.wait(recorded, "messages in the bag")
    assert client.fact("recorder", "not yet published") == "never"
    assert process.stop() == 0
    types = {
        topic.name.rpartition("/")[2]: (topic.type, topic.count > 0) for topic in BagReader(bag).topics()
    }
    assert types == {"camera": ("sensor_msgs/msg/Image", True), "note": ("std_msgs/msg/String", True)}


def test_nothing_received_makes_no_bag(start, client, tmp_path):
    process = start("recorder", bag=tmp_path / "bags" / "run")
    client.wait_for_listener(client.mask)
    assert process.stop() == 0
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
