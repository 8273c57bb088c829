"""QoS mismatches between real endpoints of two nodes."""

import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import Empty

from dsad_common.events import QosWatch
from dsad_common.qos import newest, reliable


@pytest.fixture
def nodes():
    context = rclpy.Context()
    rclpy.init(context=context)
    pair = [rclpy.create_node(name, context=context) for name in ("watcher", "stranger")]
    executor = SingleThreadedExecutor(context=context)
    for node in pair:
        executor.add_node(node)

    def wait(condition) -> None:
        end = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < end
            executor.spin_once(timeout_sec=0.05)

    yield *pair, wait
    executor.shutdown()
    for node in pair:
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_an_incompatible_subscriber_is_told_of_while_it_is_there(nodes):
    watcher, stranger, wait = nodes
    lines = []
    watch = QosWatch(watcher, lines.append)
    watch.publisher(Empty, "mask", reliable(10))
    fitting = stranger.create_subscription(Empty, "mask", lambda _: None, newest())
    wait(lambda: watcher.count_subscribers("mask") == 1)
    assert watch.mismatches() == [] == lines

    greedy = stranger.create_subscription(
        Empty, "mask", lambda _: None, QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    )
    wait(lambda: lines)
    assert "QoS mismatch on /mask (DURABILITY)" in lines[0]
    assert watch.mismatches() == lines
    stranger.destroy_subscription(greedy)
    wait(lambda: watch.mismatches() == [])
    stranger.destroy_subscription(fitting)


def test_a_publisher_that_offers_too_little_is_told_of_while_it_is_there(nodes):
    watcher, stranger, wait = nodes
    lines = []
    watch = QosWatch(watcher, lines.append)
    watch.subscription(Empty, "image_raw", lambda _: None, newest("reliable"), on_lost=lambda count: None)
    camera = stranger.create_publisher(Empty, "image_raw", newest())
    wait(lambda: lines)
    assert "QoS mismatch on /image_raw (RELIABILITY)" in lines[0]
    stranger.destroy_publisher(camera)
    wait(lambda: watch.mismatches() == [])
