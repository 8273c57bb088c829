"""A node that watches a run from outside: its figures and the detector's counters."""

from __future__ import annotations

import time

from rclpy.node import Node

from dsad_common import topics
from dsad_common.qos import latched, reliable
from dsad_msgs.msg import DetectionMetrics, FrameCounters, FrameTiming
from dsad_replay.progress import Progress


class Watch(Node):
    """Feeds a ``Progress`` from the topics ``metrics``, ``timing`` and ``counters``.

    Attributes:
        progress: how far the run is.
    """

    def __init__(self, name: str, namespace: str | None = None):
        super().__init__(name, namespace=namespace)
        self.progress = Progress()
        self.create_subscription(
            DetectionMetrics,
            topics.METRICS,
            lambda message: self.progress.on_metrics(message, time.monotonic()),
            reliable(1),
        )
        self.create_subscription(
            FrameTiming,
            topics.TIMING,
            lambda message: self.progress.on_timing(message, time.monotonic()),
            reliable(50),
        )
        self.create_subscription(
            FrameCounters,
            topics.COUNTERS,
            lambda message: self.progress.on_timing(message, time.monotonic()),
            latched(),
        )
