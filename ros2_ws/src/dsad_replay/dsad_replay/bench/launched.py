"""What a launch starts, and a bench's own node beside it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.executors import Executor
from rclpy.node import Node

from dsad_bringup.graph import Graph, build_graph
from dsad_core.errors import DsadError
from dsad_replay import processes
from dsad_replay.ros import ros

NAMESPACE = "/dsad_bench"
TICK_SECONDS = 0.02


def bench_graph(arguments: dict[str, str]) -> Graph:
    """What the launch starts with these arguments, in a namespace of the bench."""
    share = Path(get_package_share_directory("dsad_bringup"))
    return build_graph({"namespace": NAMESPACE, "log_level": "warn"} | arguments, share)


@contextlib.contextmanager
def launched(graph: Graph, folder: Path) -> Iterator[tuple[list[processes.Process], Node, Executor]]:
    """The nodes of a graph while they run, a node of this process, and its executor.

    Starting them also puts the graph's environment, such as the DDS profile, into this process's own.
    """
    nodes = processes.start(graph, folder)
    try:
        with ros() as executor:
            node = rclpy.create_node("bench", namespace=NAMESPACE)
            executor.add_node(node)
            yield nodes, node, executor
            node.destroy_node()
    finally:
        processes.stop(nodes, lambda: None)


def spin(
    executor: Executor,
    nodes: Sequence[processes.Process],
    seconds: float,
    until: Callable[[], object] = lambda: False,
) -> bool:
    """Take messages until ``until`` holds or the time is over; whether it held.

    Raises:
        DsadError: one of the nodes ended.
    """
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            return False
        executor.spin_once(timeout_sec=TICK_SECONDS)
        for process in nodes:
            if process.status is not None:
                said = " / ".join(process.new_lines()[-3:])
                raise DsadError(f"{process.spec.name} ended with status {process.status}: {said}")
    return True
