"""Compressed frames of a running detector, across processes."""

import array

import cv2
import numpy as np
import pytest
from detector_harness import scene
from sensor_msgs.msg import CompressedImage

from dsad_common.qos import reliable
from dsad_common.stamps import stamp_ns


@pytest.fixture(scope="module")
def running(start_for_module):
    one = start_for_module(frame_size="64x64", image_transport="compressed")
    client = one.client
    publisher = client.node.create_publisher(CompressedImage, "image_raw/compressed", reliable(10))
    client.wait(
        lambda: publisher.get_subscription_count() > 0, "the detector to subscribe to compressed frames"
    )
    client.wait(lambda: client.node.count_publishers("mask"), "the publisher of masks")
    return client, publisher


def packed(client, frame, suffix, encoding):
    message = CompressedImage(format=encoding)
    message.header = client.image(np.zeros((2, 2), np.uint8), "mono8").header
    message.data = array.array("B", cv2.imencode(suffix, frame)[1].tobytes())
    return message


def until(client, publisher, message, condition, what):
    client.wait(lambda: publisher.publish(message) or condition(), what)


@pytest.mark.parametrize(
    "dtype, suffix, encoding",
    [(np.uint16, ".png", "16UC1; png compressed"), (np.uint8, ".jpg", "mono8; jpeg compressed")],
)
def test_a_compressed_frame_is_answered(running, dtype, suffix, encoding):
    client, publisher = running
    frame, centres = scene(128, 160, dtype)
    message = packed(client, frame, suffix, encoding)
    key = stamp_ns(message.header.stamp)
    until(client, publisher, message, lambda: key in client.masks and key in client.targets, "the answer")
    assert client.masks[key].header == message.header
    for x, y in centres:
        assert min(np.hypot(each.x - x, each.y - y) for each in client.targets[key].targets) < 1.5


def test_a_jpeg_that_claims_16_bits_is_refused_by_name(running):
    client, publisher = running
    message = packed(client, scene(64, 64)[0], ".jpg", "16UC1; jpeg compressed")
    client.statuses.clear()
    until(
        client,
        publisher,
        message,
        lambda: client.status is not None and "holds 8 bits" in client.status.message,
        "the refusal",
    )
