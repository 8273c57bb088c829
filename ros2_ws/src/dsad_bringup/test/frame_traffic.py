"""A process that publishes or receives large frames, for test_fastdds.py.

Usage: frame_traffic.py publish|receive FRAMES
"""

import array
import sys
import time

import rclpy
from sensor_msgs.msg import Image

from dsad_common.qos import newest

PERIOD = 0.01
DEADLINE = 60.0


def publish(node, frames):
    """640x512 mono16 at 100 Hz, best effort, once somebody listens."""
    publisher = node.create_publisher(Image, "image_raw", newest())
    message = Image(height=512, width=640, encoding="mono16", step=1280, data=array.array("B", bytes(655360)))
    deadline = time.monotonic() + DEADLINE
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.01)
    # A last frame with stamp 0 says that it is over; it is repeated until the receiver has gone.
    due = time.monotonic() + 0.3
    for stamp in [*range(1, frames + 1), *[0] * 100]:
        time.sleep(max(0.0, due - time.monotonic()))
        due += PERIOD
        message.header.stamp.sec = stamp
        publisher.publish(message)


def receive(node, frames):
    """Print how many of the frames came."""
    seen = []

    def on_image(message):
        seen.append(message.header.stamp.sec)

    node.create_subscription(Image, "image_raw", on_image, newest())
    deadline = time.monotonic() + DEADLINE
    while 0 not in seen and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(len(set(seen) - {0}))


if __name__ == "__main__":
    rclpy.init()
    node = rclpy.create_node(f"{sys.argv[1]}_frames")
    {"publish": publish, "receive": receive}[sys.argv[1]](node, int(sys.argv[2]))
    node.destroy_node()
    rclpy.try_shutdown()
