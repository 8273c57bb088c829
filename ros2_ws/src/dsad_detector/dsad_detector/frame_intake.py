"""What becomes of a frame in the subscription's callback: it is counted and handed on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.subscription import Subscription

from dsad_detector.compressed import CompressedFrame
from dsad_detector.counters import Counters
from dsad_detector.loss import LossCounter
from dsad_detector.throttled_warnings import ThrottledWarnings
from dsad_detector.transport import advice

#: From Iron on, rclpy gives a callback of two arguments the message's info too.
HAS_MESSAGE_INFO = hasattr(Subscription, "CallbackType")


class FrameIntake:
    """Counts the frames of one activation, and those that were lost on their way.

    Args:
        node: the detector's.
        topic: full name of the frames' topic.
        warnings: gets lost frames and changes of their size.

    Attributes:
        counters: begin now.
        deliver: called with each frame and the steady time of its receipt, nanoseconds.
    """

    def __init__(self, node, topic: str, warnings: ThrottledWarnings):
        self.counters = Counters(activated=time.monotonic_ns())
        self.deliver: Callable[[Any, int], None] = lambda frame, received: None
        self._node, self._topic, self._warnings = node, topic, warnings
        self._loss = LossCounter(lambda: [tuple(each.endpoint_gid) for each in self.publishers()])
        self._size: tuple[int, int] | None = None

    @property
    def callback(self) -> Callable:
        """For the subscription to frames."""
        return self._on_image_with_info if HAS_MESSAGE_INFO else self._on_image

    def publishers(self) -> list:
        """The endpoints that publish frames now."""
        return self._node.get_publishers_info_by_topic(self._topic)

    def on_lost(self, count: int) -> None:
        """Count frames that the transport reports as lost."""
        self.counters.lost_by_transport += count
        self._report_lost()

    def _on_image_with_info(self, message, info: dict[str, Any]) -> None:
        received = time.monotonic_ns()
        if lost := self._loss.lost_before(info["publication_sequence_number"]):
            self.counters.lost_by_number += lost
            self._report_lost()
        self._take(message, received)

    def _on_image(self, message) -> None:
        self._take(message, time.monotonic_ns())

    def _take(self, message, received: int) -> None:
        if hasattr(message, "format"):
            message = CompressedFrame.of(message)
        counters, size = self.counters, (message.width, message.height)
        counters.received += 1
        counters.last_received = received
        counters.frame_bytes = max(counters.frame_bytes, len(message.data))
        counters.last_frame = f"{message.width}x{message.height} {message.encoding}"
        if self._size not in (None, size):
            counters.size_changes += 1
            self._warnings.report(
                "frame size", "frame size changed from {}x{} to {}x{}".format(*self._size, *size)
            )
        self._size = size
        self.deliver(message, received)

    def _report_lost(self) -> None:
        self._warnings.report(
            "lost",
            f"{self.counters.lost} frames lost on their way from {self._topic}: "
            + advice(self.counters.frame_bytes, rclpy.get_rmw_implementation_identifier()),
        )
