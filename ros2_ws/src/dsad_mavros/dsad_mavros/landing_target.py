"""Node ``landing_target``: the bearing of the detector's best track, for MAVROS."""

from __future__ import annotations

from mavros_msgs.msg import LandingTarget
from rclpy.node import Node

from dsad_common import topics
from dsad_common.parameters import Parameter, declare
from dsad_common.qos import reliable
from dsad_common.run import main as run_main
from dsad_mavros.angles import body_angles, optical_angles
from dsad_msgs.msg import Track, TrackArray

PARAMETERS = (
    Parameter("coasting", True, "Send a best track without a detection in this frame, too."),
    Parameter("target_num", 0, "Number of the target.", minimum=0, maximum=255),
    Parameter("type", LandingTarget.VISION_OTHER, "MAVLink's LANDING_TARGET_TYPE.", minimum=0, maximum=3),
)


def landing_target(array: TrackArray, coasting: bool, target_num: int, kind: int) -> LandingTarget | None:
    """The message of a frame; None where no track is to be sent.

    Args:
        array: the frame's tracks.
        coasting: whether a track without a detection in this frame counts.
        target_num, kind: as the parameters.
    """
    if array.best < 0:
        return None
    track = array.tracks[array.best]
    if not track.has_bearing or (track.state == Track.COASTING and not coasting):
        return None
    direction = track.bearing.x, track.bearing.y, track.bearing.z
    optical = array.bearing_frame == array.header.frame_id
    angles = optical_angles(*direction) if optical else body_angles(*direction)
    if angles is None:
        return None
    # Frame 0 tells MAVROS that there is no position.
    return LandingTarget(
        header=array.header,
        target_num=target_num,
        frame=LandingTarget.GLOBAL,
        angle=list(angles),
        size=[track.angular_width, track.angular_height],
        type=kind,
    )


class LandingTargetNode(Node):
    """Thin: one message in, at most one out."""

    def __init__(self):
        super().__init__("landing_target")
        declare(self, PARAMETERS)
        self._publisher = self.create_publisher(LandingTarget, "landing_target", reliable(10))
        self.create_subscription(TrackArray, topics.TRACKS, self._on_tracks, reliable(10))

    def _on_tracks(self, array: TrackArray) -> None:
        values = (self.get_parameter(parameter.name).value for parameter in PARAMETERS)
        message = landing_target(array, *values)
        if message is not None:
            self._publisher.publish(message)


def main() -> None:
    """Console script."""
    run_main(LandingTargetNode)
