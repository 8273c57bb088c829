"""One ``/diagnostics`` status a node, published once a second from what the node reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType

from dsad_common import topics

OK = DiagnosticStatus.OK
WARN = DiagnosticStatus.WARN
ERROR = DiagnosticStatus.ERROR

Report = tuple[bytes, str, Mapping[str, object]]


class Diagnostics:
    """Publishes what ``report()`` says: (level, one-line summary, key-value facts).

    Args:
        node: the rclpy node; its full name becomes the status name.
        report: called on the node's executor, once every ``period`` seconds.
        hardware_id: what the status is about, such as the target or the camera.
        period: seconds between statuses.
    """

    def __init__(self, node, report: Callable[[], Report], hardware_id: str = "", period: float = 1.0):
        self._node = node
        self._report = report
        self.hardware_id = hardware_id
        self._publisher = node.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 10)
        # With simulated time the node's own clock stands still just when there is something to report.
        self._timer = node.create_timer(period, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Publish now; also called by the timer."""
        level, summary, facts = self._report()
        status = DiagnosticStatus(
            level=level,
            name=self._node.get_fully_qualified_name().lstrip("/"),
            message=summary,
            hardware_id=self.hardware_id,
            values=[KeyValue(key=key, value=str(value)) for key, value in facts.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)
