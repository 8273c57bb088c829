"""A node that watches a run from outside: its figures, and the detector's counters and health."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from dsad_common.diagnostics import ERROR
from dsad_common.qos import reliable
from dsad_msgs.msg import DetectionMetrics, FrameTiming
from rclpy.node import Node

from dsad_replay.progress import Progress


class Watch(Node):
    """Feeds a ``Progress`` from the topics ``metrics`` and ``timing``.

    Attributes:
        progress: how far the run is.
        fault: why the detector could not be configured, in one line; empty if it could.
    """

    def __init__(self, name: str, namespace: str | None = None):
        super().__init__(name, namespace=namespace)
        self.progress = Progress()
        self.fault = ""
        self.create_subscription(
            DetectionMetrics,
            "metrics",
            lambda message: self.progress.on_metrics(message, time.monotonic()),
            reliable(1),
        )
        self.create_subscription(
            FrameTiming,
            "timing",
            lambda message: self.progress.on_timing(message, time.monotonic()),
            reliable(50),
        )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable(10))

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        detector = f"{self.get_namespace().rstrip('/')}/detector".lstrip("/")
        for status in array.status:
            if status.name == detector:
                state = next((fact.value for fact in status.values if fact.key == "state"), "")
                failed = status.level == ERROR and state == "unconfigured"
                self.fault = status.message if failed else ""
