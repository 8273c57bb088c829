"""An example to copy: a detector for each of two cameras, in a vehicle's own launch.

``/left/irst/mask`` and ``/right/irst/mask`` answer the frames of ``/left/image`` and ``/right/image``.
"""

from dsad_bringup.actions import include_detector
from launch import LaunchDescription
from launch.actions import GroupAction
from launch_ros.actions import PushRosNamespace


def generate_launch_description():
    """Two includes that share nothing; each keeps its outer namespace."""
    return LaunchDescription([_camera("left"), _camera("right")])


def _camera(name):
    return GroupAction([PushRosNamespace(name), include_detector(image_topic=f"/{name}/image")])
