"""Quality of service of the suite's topics, named once.

Publishers are reliable, so that reliable and best-effort subscribers both match. Subscribers to
frames are best effort and keep the newest only: an old frame is worth nothing to a detector.
"""

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy


def reliable(depth: int) -> QoSProfile:
    """Reliable, volatile, keep-last ``depth``: every publisher, and subscribers that must not miss."""
    return QoSProfile(
        depth=depth,
        history=QoSHistoryPolicy.KEEP_LAST,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.VOLATILE,
    )


def latched() -> QoSProfile:
    """Reliable, transient local, keep-last 1: what holds until it is published again."""
    profile = reliable(1)
    profile.durability = QoSDurabilityPolicy.TRANSIENT_LOCAL
    return profile


def best_effort(depth: int) -> QoSProfile:
    """Best effort, volatile, keep-last ``depth``: subscribers to what drivers of cameras publish."""
    profile = reliable(depth)
    profile.reliability = QoSReliabilityPolicy.BEST_EFFORT
    return profile


def newest(reliability: str = "best_effort") -> QoSProfile:
    """Keep-last 1, ``best_effort`` or ``reliable``: a subscriber to frames."""
    return QoSProfile(
        depth=1,
        history=QoSHistoryPolicy.KEEP_LAST,
        reliability=QoSReliabilityPolicy[reliability.upper()],
        durability=QoSDurabilityPolicy.VOLATILE,
    )
