"""Frames that lie, and company on the topics: counted, named, and survived."""

import array

import numpy as np
import pytest
from detector_harness import scene
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image

from dsad_common.stamps import stamp_ns


def truncated(message: Image) -> None:
    message.data = message.data[:-1]


def short_step(message: Image) -> None:
    message.step = message.width - 1


def too_few_rows(message: Image) -> None:
    message.height -= 10


def zero_size(message: Image) -> None:
    message.height = message.width = message.step = 0
    message.data = array.array("B")


def absurd_size(message: Image) -> None:
    message.height = 2**31


def unknown_encoding(message: Image) -> None:
    message.encoding = "infrared12"


def no_encoding(message: Image) -> None:
    message.encoding = ""


def nan_pixel(message: Image) -> None:
    pixels = np.full((message.height, message.width), 0.5, np.float32)
    pixels[3, 4] = np.nan
    message.encoding, message.step = "32FC1", message.width * 4
    message.data = array.array("B", pixels.tobytes())


@pytest.mark.parametrize(
    "width, spoil, reason",
    [
        (70, truncated, "truncated"),
        (71, short_step, "step"),
        (72, too_few_rows, "step"),
        (0, zero_size, "size"),
        (74, absurd_size, "size"),
        (75, unknown_encoding, "encoding"),
        (76, no_encoding, "encoding"),
        (77, nan_pixel, "nan"),
    ],
)
def test_a_frame_that_lies_is_counted_by_reason_and_the_next_one_is_answered(detector, width, spoil, reason):
    client = detector.client
    good = scene(64, 80)[0]
    before = client.ask(client.image(good, "mono8"))

    bad = client.image(np.zeros((64, width or 73), np.uint8), "mono8")
    spoil(bad)
    named = f"frame {width}x{bad.height} '{bad.encoding}' refused"
    client.publish_until(bad, lambda: client.status and named in client.status.message, named)

    assert client.status.level == b"\x01"
    assert int(client.fact(f"refused_{reason}")) > 0
    after = client.ask(client.image(good, "mono8"))
    assert after.frames_refused > before.frames_refused
    assert stamp_ns(bad.header.stamp) not in client.masks
    assert detector.process.alive


def test_the_log_names_encoding_size_and_fault_once_for_many_frames(detector):
    client = detector.client
    bad = client.image(scene(48, 50)[0], "mono8")
    bad.encoding = "infrared14"
    refused = int(client.fact("refused_encoding") or 0)
    client.publish_until(
        bad,
        lambda: (
            [client.frames.publish(bad) for _ in range(5)]
            and int(client.fact("refused_encoding") or 0) > refused + 20
        ),
        "twenty refusals",
    )
    lines = [line for line in detector.process.log().splitlines() if "infrared14" in line]
    assert all("50x48" in line and "refused" in line for line in lines)
    assert len(lines) <= 3
    assert "Traceback" not in detector.process.log()


def test_two_publishers_of_different_sizes_are_both_answered_and_named(detector):
    client = detector.client
    second = client.node.create_publisher(Image, "image_raw", 10)
    client.wait(lambda: second.get_subscription_count() > 0, "the second publisher's match")
    for _ in range(3):
        for publisher, size in ((client.frames, (64, 80)), (second, (90, 70))):
            message = client.image(scene(*size)[0], "mono8")
            client.ask(message, publisher)
            mask = client.masks[stamp_ns(message.header.stamp)]
            assert (mask.height, mask.width) == size
    client.wait_for_status(lambda: "2 publishers on" in client.status.message, "the second publisher")
    assert client.status.message.count("/client") == 2
    assert int(client.fact("size_changes")) >= 5
    client.node.destroy_publisher(second)
    client.wait_for_status(lambda: "2 publishers" not in client.status.message, "the warning to end")


def test_a_subscriber_that_asks_for_too_much_is_reported_while_it_is_there(detector):
    client = detector.client
    qos = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    greedy = client.node.create_subscription(Image, "mask", lambda mask: None, qos)
    client.wait_for_status(lambda: "QoS mismatch" in client.status.message, "the QoS mismatch")
    assert "/mask" in client.status.message and "DURABILITY" in client.status.message
    client.node.destroy_subscription(greedy)
    client.wait_for_status(lambda: "QoS mismatch" not in client.status.message, "the mismatch to end")
