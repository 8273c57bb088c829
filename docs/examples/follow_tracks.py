"""Prints the best confirmed track of each frame: `python follow_tracks.py`, where ROS 2 and dsad_msgs are sourced."""

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image

from dsad_msgs.msg import Track, TrackArray


class TrackFollower(Node):
    """Subscribes to masks and tracks; both are reliable, so the default QoS fits."""

    def __init__(self):
        super().__init__("track_follower")
        self.create_subscription(Image, "/irst/mask", self.on_mask, 10)
        self.create_subscription(TrackArray, "/irst/tracks", self.on_tracks, 10)

    def on_mask(self, mask: Image):
        """The mask's header is the frame's own: the stamp joins mask, tracks and frame."""
        pixels = sum(1 for value in mask.data if value)
        stamp = mask.header.stamp
        self.get_logger().info(
            f"mask {stamp.sec}.{stamp.nanosec:09d}: {mask.width}x{mask.height}, {pixels} px"
        )

    def on_tracks(self, message: TrackArray):
        """The best track is confirmed: one that moves against the scene, then the oldest."""
        if message.best < 0:
            return
        best = message.tracks[message.best]
        text = f"track {best.id}: ({best.x:.1f}, {best.y:.1f}) px, ({best.vx:.1f}, {best.vy:.1f}) px/s"
        if best.motion == Track.MOVING:
            text += ", moves"
        if best.has_bearing:  # a CameraInfo of this frame size is known
            bearing = best.bearing
            text += (
                f", bearing ({bearing.x:.4f}, {bearing.y:.4f}, {bearing.z:.4f}) in {message.bearing_frame}"
            )
        self.get_logger().info(text)


def main():
    """Run until Ctrl-C."""
    rclpy.init()
    try:
        rclpy.spin(TrackFollower())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        # Of rclpy's handles, where Ctrl-C ended the context between two steps of the executor.
        if rclpy.ok():
            raise


if __name__ == "__main__":
    main()
