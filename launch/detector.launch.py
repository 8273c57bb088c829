"""The detector alone: ``ros2 launch dsad_bringup detector.launch.py target:=agx``.

``--show-args`` lists the arguments. A launch that includes this file gives their names with ``irst_``, such as
``irst_target``, so that none of its own is taken by accident; it is not ended by this one.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import OpaqueFunction, UnsetLaunchConfiguration

from dsad_bringup.actions import declare, node_action, typed_words
from dsad_bringup.arguments import LAUNCH_ARGUMENTS, PREFIX, launch_values
from dsad_bringup.graph import build_graph
from dsad_bringup.shared_memory import remove_stale_segments
from launch import LaunchDescription


def generate_launch_description():
    """The arguments and, once their values are known, the detector."""
    return LaunchDescription(
        [
            *(declare(argument, PREFIX) for argument in LAUNCH_ARGUMENTS),
            OpaqueFunction(function=_start),
            # What one include is given must not reach the next.
            *(UnsetLaunchConfiguration(PREFIX + argument.name) for argument in LAUNCH_ARGUMENTS),
        ]
    )


def _start(context):
    typed = typed_words(context, "dsad_bringup", Path(__file__))
    given = launch_values(context.launch_configurations, typed)
    outer = context.launch_configurations.get("ros_namespace", "")
    graph = build_graph(given, Path(get_package_share_directory("dsad_bringup")), outer)
    remove_stale_segments()
    return [node_action(graph, spec) for spec in graph.nodes]
