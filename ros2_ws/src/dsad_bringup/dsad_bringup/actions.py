"""A launch_ros action for a node of a graph; for launch files, where ROS 2's own launch is installed."""

from __future__ import annotations

from dsad_bringup.arguments import Argument
from dsad_bringup.graph import Graph, NodeSpec
from launch.actions import DeclareLaunchArgument
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue


def declare(argument: Argument) -> DeclareLaunchArgument:
    """The launch's declaration of an argument."""
    return DeclareLaunchArgument(
        argument.name,
        default_value=argument.default,
        description=argument.description,
        choices=argument.choices or None,
    )


def node_action(graph: Graph, spec: NodeSpec, on_exit=None) -> Node:
    """The process of a node; its parameters win over those of the graph's file."""
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[str(graph.params_file), {key: _typed(value) for key, value in spec.parameters.items()}],
        remappings=list(spec.remappings),
        additional_env=dict(graph.environment),
        ros_arguments=["--log-level", graph.log_level],
        output="screen",
        emulate_tty=True,
        sigterm_timeout=str(spec.stop_seconds),
        on_exit=on_exit,
    )


def _typed(value):
    # Launch would read the text "0" of a camera device as a number.
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value
