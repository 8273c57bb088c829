"""Source, detector and metrics in one launch: ``ros2 launch dsad_replay replay.launch.py``.

``--show-args`` lists the arguments. When the source comes to its end, the last frames are answered,
the report is written and the launch ends. Where a node refuses to start or dies, it ends with status 2.
"""

import atexit
import os
import sys
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import OpaqueFunction, Shutdown

from dsad_bringup.actions import declare, node_action, typed_words
from dsad_bringup.shared_memory import remove_stale_segments
from dsad_core.errors import DsadError
from dsad_replay.arguments import ARGUMENTS, read_assignments
from dsad_replay.graph import build_replay_graph
from launch import LaunchDescription


def generate_launch_description():
    """The arguments of the graph and, once their values are known, its nodes."""
    return LaunchDescription([*map(declare, ARGUMENTS), OpaqueFunction(function=_start)])


def _start(context):
    given = {argument.name: context.launch_configurations[argument.name] for argument in ARGUMENTS}
    # Refuses a misspelt argument, which launch itself would ignore.
    given |= read_assignments(typed_words(context, "dsad_replay", Path(__file__)))
    try:
        graph = build_replay_graph(given, Path(get_package_share_directory("dsad_bringup")))
    except DsadError:
        atexit.register(_exit_with_2)
        raise
    remove_stale_segments()
    on_exit = {"detector": lambda event, context: _after_detector(graph, event.returncode, context)}
    if graph.source:
        on_exit[graph.source.name] = lambda event, context: _after_source(graph, event.returncode, context)
    # The source last: whoever listens is then on its way already.
    return [node_action(graph, spec, on_exit.get(spec.name)) for spec in reversed(graph.nodes)]


def _after_detector(graph, status, context):
    if graph.builder and status == 0:
        return Shutdown(reason="the engine is built")
    return _ended_early("detector", status, context)


def _after_source(graph, status, context):
    if status != 0 or not graph.source_ends:
        return _ended_early("source", status, context)
    return node_action(graph, graph.waiter, [Shutdown(reason="the source came to its end")])


def _ended_early(name, status, context):
    if context.is_shutdown:
        return None
    # A launch that is shut down ends with 0, whatever the reason.
    atexit.register(_exit_with_2)
    return Shutdown(reason=f"the {name} stopped with status {status}")


def _exit_with_2():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)
