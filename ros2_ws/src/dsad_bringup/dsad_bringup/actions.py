"""Actions for launch files, where ROS 2's own launch is installed."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

from launch.actions import DeclareLaunchArgument
from launch.launch_context import LaunchContext
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dsad_bringup.arguments import Argument
from dsad_bringup.graph import Graph, NodeSpec


def declare(argument: Argument, prefix: str = "") -> DeclareLaunchArgument:
    """The launch's declaration of an argument, with ``prefix`` before its name."""
    choices = argument.choices if not argument.choices or argument.default else ("", *argument.choices)
    return DeclareLaunchArgument(
        prefix + argument.name,
        default_value=argument.default,
        description=argument.description,
        choices=choices or None,
    )


def typed_words(context: LaunchContext, package: str, launch_file: Path) -> list[str]:
    """The words ``name:=value`` behind ``ros2 launch``, where that was given this very file.

    None where another launch includes the file: the words are then that launch's.
    """
    by_package = (package, launch_file.name) in zip(sys.argv, sys.argv[1:])
    by_path = any(Path(word).resolve() == launch_file.resolve() for word in sys.argv if word.endswith(".py"))
    return list(context.argv) if by_package or by_path else []


def node_action(graph: Graph, spec: NodeSpec, on_exit=None) -> Node:
    """The process of a node; its parameters win over those of the graph's file."""
    own = {key: _typed(value) for key, value in spec.parameters.items()}
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        exec_name=spec.executable,
        namespace=spec.namespace,
        # An empty mapping would be an invalid file to rcl.
        parameters=[str(graph.params_file), *([own] if own else [])],
        remappings=list(spec.remappings),
        # Launch leaves its processes behind at SIGTERM and SIGKILL; with this they end with it.
        additional_env={**graph.environment, "DSAD_LAUNCHER_PID": str(os.getpid())},
        ros_arguments=["--log-level", graph.log_level],
        output="screen",
        sigterm_timeout=str(spec.stop_seconds),
        prefix=_block_sigint(),
        respawn=graph.respawn and not spec.ends,
        respawn_delay=graph.respawn_delay,
        on_exit=on_exit,
    )


@functools.cache
def _block_sigint() -> str | None:
    """A prefix that holds SIGINT back until a node has handlers; without it Python leaves a traceback.

    GNU's env has the option since Ubuntu 20.10; another env may lack it.
    """
    prefix = "env --block-signal=INT"
    return prefix if subprocess.run([*prefix.split(), "true"], capture_output=True).returncode == 0 else None


def _typed(value):
    # Launch would read the text "0" of a camera device as a number.
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value
