"""The detector alone: ``ros2 launch dsad_bringup detector.launch.py target:=agx``.

``--show-args`` lists the arguments. A launch that includes this file is not ended by it.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from dsad_bringup.actions import declare, node_action
from dsad_bringup.arguments import ARGUMENTS
from dsad_bringup.graph import build_graph
from launch import LaunchDescription
from launch.actions import OpaqueFunction


def generate_launch_description():
    """The arguments and, once their values are known, the detector."""
    return LaunchDescription([*map(declare, ARGUMENTS), OpaqueFunction(function=_start)])


def _start(context):
    given = {argument.name: context.launch_configurations[argument.name] for argument in ARGUMENTS}
    graph = build_graph(given, Path(get_package_share_directory("dsad_bringup")))
    return [node_action(graph, spec) for spec in graph.nodes]
