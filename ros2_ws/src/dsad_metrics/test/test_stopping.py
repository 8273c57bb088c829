"""Messages that arrived before the stop, or are on their way, are taken after rclpy's shutdown."""

import time

import rclpy
from std_msgs.msg import UInt32

from dsad_common.qos import reliable
from dsad_common.testing import wait_until
from dsad_metrics.stopping import drain, have_publishers


def test_what_waits_is_taken_without_an_executor_and_after_shutdown():
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("holder", context=context, namespace="/drain_test")
    other = rclpy.Context()
    other.init()
    sender = rclpy.create_node("sender", context=other, namespace="/drain_test")
    try:
        seen = []
        subscription = node.create_subscription(
            UInt32, "numbers", lambda m: seen.append(m.data), reliable(100)
        )
        publisher = sender.create_publisher(UInt32, "numbers", reliable(100))
        # Reliable: what is sent while discovery is one-sided is delivered all the same.
        deadline = time.monotonic() + 60.0
        while not publisher.get_subscription_count():
            assert time.monotonic() < deadline, "no discovery within 20 s"
            time.sleep(0.01)
        for number in range(50):
            publisher.publish(UInt32(data=number))
        context.shutdown()
        drain([subscription], patience=10.0, quiet=2.0)
        assert seen == list(range(50))
    finally:
        sender.destroy_node()
        other.shutdown()
        node.destroy_node()


def test_where_nobody_publishes_any_more_it_waits_no_longer():
    begin = time.monotonic()
    drain([], patience=600.0, quiet=600.0, publishing=lambda: False)
    assert time.monotonic() - begin < 60.0


def test_the_end_of_the_last_publisher_is_seen():
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("listener", context=context, namespace="/drain_test")
    other = rclpy.create_node("sender", context=context, namespace="/drain_test")
    try:
        subscription = node.create_subscription(UInt32, "ends", lambda _: None, reliable(1))
        publisher = other.create_publisher(UInt32, "ends", reliable(1))
        wait_until(lambda: have_publishers(node, [subscription]))
        other.destroy_publisher(publisher)
        wait_until(lambda: not have_publishers(node, [subscription]))
    finally:
        other.destroy_node()
        node.destroy_node()
        context.shutdown()
