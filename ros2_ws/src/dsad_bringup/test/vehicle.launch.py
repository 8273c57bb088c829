"""A vehicle's own launch, for test_launch.py: an autopilot, and a detector for each of three cameras.

Its own arguments have the names that the detector's would have without their prefix, with values that the
detector would refuse.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, ExecuteProcess, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import PushRosNamespace

from dsad_bringup.arguments import LAUNCH_ARGUMENTS
from launch import LaunchDescription

DETECTOR = Path(get_package_share_directory("dsad_bringup"), "launch", "detector.launch.py")


def detector(**arguments):
    """A plain include."""
    given = {f"irst_{name}": value for name, value in arguments.items()}
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(DETECTOR)), launch_arguments=given.items()
    )


def generate_launch_description():
    """The vehicle."""
    names = [argument.name for argument in LAUNCH_ARGUMENTS]
    own = [LaunchConfiguration(name) for name in names]
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, default_value="the-vehicles") for name in names),
            ExecuteProcess(cmd=["sleep", "infinity"], output="screen"),
            GroupAction(
                [
                    PushRosNamespace("left"),
                    detector(engine="local-contrast", threshold="0.4", autostart="true"),
                ]
            ),
            # Without a group the first would leave its arguments to the second.
            detector(engine="local-contrast", namespace="right/irst", threshold="0.3"),
            detector(engine="local-contrast", namespace="rear/irst"),
            ExecuteProcess(cmd=["echo", "unchanged:", *own], output="screen"),
        ]
    )
