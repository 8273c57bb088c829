"""A vehicle's own launch, for test_launch.py: an autopilot, and a detector for each of two cameras."""

from dsad_bringup.actions import include_detector
from launch import LaunchDescription
from launch.actions import ExecuteProcess, GroupAction
from launch_ros.actions import PushRosNamespace


def generate_launch_description():
    """The vehicle."""
    autopilot = ["sleep", "infinity"]
    cameras = [("left", {"threshold": "0.4"}), ("right", {})]
    return LaunchDescription(
        [
            ExecuteProcess(cmd=autopilot, output="screen"),
            *(
                GroupAction([PushRosNamespace(name), include_detector(engine="local-contrast", **arguments)])
                for name, arguments in cameras
            ),
        ]
    )
