"""The size of the frames that come, for an engine that must be built for one."""

from __future__ import annotations

import queue

from sensor_msgs.msg import CameraInfo, Image

from dsad_common import topics
from dsad_common.qos import newest
from dsad_core.engines import progress
from dsad_core.frame.camera_model import frame_size
from dsad_core.frame.codec import MAX_SIDE

#: How soon the wait notices that it is to end.
POLL_SECONDS = 0.1


def first_frame_size(node) -> tuple[int, int]:
    """(height, width) of the first CameraInfo or frame; waits for it beside the executor, in another thread.

    Raises:
        Cancelled: ``progress`` was cancelled.
    """
    found: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()

    def offer(height: int, width: int) -> None:
        if 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE:
            found.put((height, width))

    inputs = [
        node.create_subscription(
            CameraInfo, topics.CAMERA_INFO, lambda info: offer(*frame_size(info)), newest()
        ),
        node.create_subscription(
            Image, topics.IMAGE_RAW, lambda image: offer(image.height, image.width), newest()
        ),
    ]
    try:
        while True:
            progress.report(
                f"waiting for the first frame on {node.resolve_topic_name('image_raw')}: the engine is built for its "
                "size (the parameter frame_size would name it)"
            )
            try:
                return found.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
    finally:
        for each in inputs:
            node.destroy_subscription(each)
