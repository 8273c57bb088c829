"""Source, detector and metrics in one launch: ``ros2 launch dsad_bringup detector.launch.py``.

``--show-args`` lists the arguments. When the source comes to its end, the last frames are answered,
the report is written and the launch ends.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from dsad_bringup.arguments import ARGUMENTS
from dsad_bringup.graph import build_graph
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue


def generate_launch_description():
    """The arguments of the graph and, once their values are known, its nodes."""
    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=argument.choices or None,
        )
        for argument in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context):
    given = {argument.name: context.launch_configurations[argument.name] for argument in ARGUMENTS}
    graph = build_graph(given, Path(get_package_share_directory("dsad_bringup")))
    actions = [SetEnvironmentVariable(name, value) for name, value in graph.environment.items()]
    reason = "the engine is built" if graph.builder else "the detector stopped"
    on_exit = {"detector": [Shutdown(reason=reason)]}
    if graph.source:
        on_exit[graph.source.name] = lambda event, _: _after_source(graph, event.returncode)
    # The source last: whoever listens is then on its way already.
    return actions + [_node(graph, spec, on_exit.get(spec.name)) for spec in reversed(graph.nodes)]


def _after_source(graph, status):
    if status != 0 or not graph.source_ends:
        return Shutdown(reason=f"the source stopped with status {status}")
    return _node(graph, graph.waiter, [Shutdown(reason="the source came to its end")])


def _node(graph, spec, on_exit=None):
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[str(graph.params_file), {key: _typed(value) for key, value in spec.parameters.items()}],
        remappings=list(spec.remappings),
        ros_arguments=["--log-level", graph.log_level],
        output="screen",
        emulate_tty=True,
        sigterm_timeout=str(spec.stop_seconds),
        on_exit=on_exit,
    )


def _typed(value):
    # Launch would read the text "0" of a camera device as a number.
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value
