"""Messages that arrived before the stop, or are on their way, are taken after rclpy's shutdown."""

import time

import rclpy
from dsad_common.qos import reliable
from dsad_metrics.stopping import drain
from std_msgs.msg import UInt32


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
