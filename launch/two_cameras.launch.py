"""An example to copy: a detector for each of two cameras, in a vehicle's own launch.

``/left/irst/mask`` and ``/right/irst/mask`` answer the frames of ``/left/image`` and ``/right/image``.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace

from launch import LaunchDescription

DETECTOR = Path(get_package_share_directory("dsad_bringup"), "launch", "detector.launch.py")


def generate_launch_description():
    """Two includes that share nothing; each keeps its outer namespace."""
    return LaunchDescription([_camera("left"), _camera("right")])


def _camera(name):
    detector = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(DETECTOR)),
        launch_arguments={"irst_image_topic": f"/{name}/image"}.items(),
    )
    return GroupAction([PushRosNamespace(name), detector])
