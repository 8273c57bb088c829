"""A camera driver as users write it: publishes one frame again and again, and says how many it has sent.

``python -m dsad_replay.bench.driver TOPIC WIDTHxHEIGHT RATE FRAMES reliable|best_effort``
"""

import array
import sys
import time

import rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from dsad_core.frame.geometry import parse_size

#: How long to wait for the subscriber, and then for its side of the match, seconds.
MATCH_SECONDS, SETTLE_SECONDS = 60.0, 1.0


def main(topic: str, size: str, rate: str, frames: str, reliability: str) -> None:
    """Publish mono16 frames at a fixed rate once somebody has subscribed."""
    height, width = parse_size(size)
    rclpy.init(args=[])
    node = rclpy.create_node("bench_driver")
    qos = QoSProfile(depth=5, reliability=QoSReliabilityPolicy[reliability.upper()])
    publisher = node.create_publisher(Image, topic, qos)
    message = Image(height=height, width=width, encoding="mono16", step=2 * width)
    message.data = array.array("B", bytes(2 * width * height))
    deadline = time.monotonic() + MATCH_SECONDS
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.05)
    due = time.monotonic() + SETTLE_SECONDS
    for stamp in range(1, int(frames) + 1):
        time.sleep(max(0.0, due - time.monotonic()))
        due += 1.0 / float(rate)
        message.header.stamp.sec = stamp
        publisher.publish(message)
    time.sleep(SETTLE_SECONDS)
    # Frames lost at the end are noticed when another one comes: a last one, small enough to get through.
    message.height, message.width, message.step, message.data = 64, 64, 128, array.array("B", bytes(8192))
    message.header.stamp.sec += 1
    publisher.publish(message)
    print(frames, flush=True)
    # A reliable publisher still repeats what was lost; it ends when told to.
    sys.stdin.read()
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
