"""ROS stamps as integer nanoseconds, the key by which frames and their answers are joined."""

from builtin_interfaces.msg import Time


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds of a stamp. Exact: a double would lose them after 104 days."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def to_stamp(nanoseconds: int) -> Time:
    """The stamp of ``nanoseconds`` since the epoch."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)
