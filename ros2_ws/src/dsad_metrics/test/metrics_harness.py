"""A client that plays source and detector over DDS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from dsad_common.qos import latched, reliable
from dsad_common.stamps import to_stamp
from dsad_common.testing import NodeClient
from dsad_core.frame.codec import fill_message
from dsad_msgs.msg import (
    DetectionMetrics,
    EngineInfo,
    FrameCounters,
    FrameTiming,
    Target,
    TargetArray,
    Track,
    TrackArray,
)

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Client(NodeClient):
    """Publishes the parts of frames; keeps the newest figures and diagnostic statuses."""

    def __init__(self, namespace: str):
        super().__init__(namespace)
        self.metrics: DetectionMetrics | None = None
        self.camera_info = self.node.create_publisher(CameraInfo, "camera_info", reliable(200))
        self.truth = self.node.create_publisher(Image, "ground_truth", reliable(200))
        self.boxes = self.node.create_publisher(TargetArray, "ground_truth_targets", reliable(200))
        self.image = self.node.create_publisher(Image, "image_raw", reliable(200))
        self.mask = self.node.create_publisher(Image, "mask", reliable(200))
        self.timing = self.node.create_publisher(FrameTiming, "timing", reliable(200))
        self.tracks = self.node.create_publisher(TrackArray, "tracks", reliable(200))
        self.engine = self.node.create_publisher(EngineInfo, "engine", latched())
        self.counters = self.node.create_publisher(FrameCounters, "counters", latched())
        self.node.create_subscription(DetectionMetrics, "metrics", self._on_metrics, reliable(10))

    def wait_for_listener(self, *publishers) -> None:
        """Until a node of this package is matched with the publishers, and its own with us."""
        publishers = publishers or (
            self.camera_info,
            self.truth,
            self.boxes,
            self.mask,
            self.timing,
            self.tracks,
        )
        self.wait(lambda: all(p.get_subscription_count() for p in publishers), "the node's subscriptions")

    def wait_for(self, condition: Callable[[DetectionMetrics], object], what: str) -> DetectionMetrics:
        """Until figures arrive that fulfil the condition."""
        self.wait(lambda: self.metrics is not None and condition(self.metrics), what)
        return self.metrics

    def set_parameter(self, node: str, name: str, value: str) -> None:
        client = self.node.create_client(SetParameters, f"{node}/set_parameters")
        self.wait(client.service_is_ready, f"parameters of {node}")
        future = client.call_async(
            SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        )
        self.wait(future.done, f"{name} set")
        assert future.result().results[0].successful

    # One frame's parts

    def announce(self, stamp_ns: int) -> None:
        self.camera_info.publish(self._stamped(CameraInfo(), stamp_ns))

    def send_image(self, publisher, stamp_ns: int, frame: np.ndarray, encoding: str = "mono8") -> Image:
        message = self._stamped(Image(), stamp_ns)
        fill_message(message, frame, encoding)
        publisher.publish(message)
        return message

    def send_boxes(self, stamp_ns: int, boxes, height: int, width: int, first_id: int = 0) -> None:
        """Boxes numbered from ``first_id``; 0 leaves them without a number."""
        message = self._stamped(TargetArray(height=height, width=width), stamp_ns)
        message.targets = [
            Target(left=x, top=y, width=w, height=h, score=1.0, track_id=first_id + n if first_id else 0)
            for n, (x, y, w, h) in enumerate(boxes)
        ]
        self.boxes.publish(message)

    def send_timing(self, stamp_ns: int, published_ms: int, latency_ms: int = 12, **counters: int) -> None:
        """Equal stages that end at ``published_ms`` of the detector's clock and sum up to the latency."""
        end, step = published_ms * 1_000_000, latency_ms * 1_000_000 // 6
        names = ("received", "started", "decoded", "preprocessed", "inferred", "postprocessed", "published")
        marks = {name: end - step * (6 - n) for n, name in enumerate(names)}
        self.timing.publish(self._stamped(FrameTiming(**marks, **counters), stamp_ns))

    def answer(self, stamp_ns: int, mask: np.ndarray, published_ms: int, **timing: int) -> None:
        self.send_image(self.mask, stamp_ns, mask)
        self.send_timing(stamp_ns, published_ms, **timing)

    def send_tracks(
        self, stamp_ns: int, places: dict[int, tuple[float, float]], height: int, width: int
    ) -> None:
        """Confirmed tracks by id."""
        message = self._stamped(TrackArray(height=height, width=width), stamp_ns)
        message.tracks = [
            Track(id=n, state=Track.CONFIRMED, motion=Track.MOVING, x=x, y=y) for n, (x, y) in places.items()
        ]
        self.tracks.publish(message)

    def _stamped(self, message, stamp_ns: int):
        message.header.stamp = to_stamp(stamp_ns)
        message.header.frame_id = "infrared"
        return message

    def _on_metrics(self, message: DetectionMetrics) -> None:
        self.metrics = message


def blob(x: int, y: int, side: int = 2, shape: tuple[int, int] = (32, 40)) -> np.ndarray:
    """A mask with one square."""
    mask = np.zeros(shape, np.uint8)
    mask[y : y + side, x : x + side] = 255
    return mask
