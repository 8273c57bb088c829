"""A detector that is killed and started again beside nodes that live on: what ``respawn`` does, without launch."""

import signal
import time
from pathlib import Path

import pytest
import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.qos import QoSProfile

from dsad_bringup.graph import build_graph
from dsad_msgs.msg import FrameTiming
from dsad_replay import processes
from dsad_replay.ros import ros

#: Generous: loaded cores. Waiting ends as soon as the condition holds.
SECONDS = 300


@pytest.fixture
def nodes(tmp_path):
    """The graph of a vehicle's launch with a source, its processes by name, and their folder."""
    share = Path(get_package_share_directory("dsad_bringup"))
    given = {"engine": "local-contrast", "source": "synthetic", "rate": "20", "metrics": "true"}
    graph = build_graph(given | {"namespace": "/irst"}, share)
    running = {process.spec.name: process for process in processes.start(graph, tmp_path)}
    yield graph, running, tmp_path
    processes.stop(list(running.values()), lambda: None)


def test_a_detector_started_again_answers_the_same_source(nodes, record_property):
    graph, running, folder = nodes
    assert graph.respawn
    answers = []
    with ros() as executor:
        node = rclpy.create_node("vehicle")
        executor.add_node(node)
        node.create_subscription(FrameTiming, "/irst/timing", answers.append, QoSProfile(depth=50))

        def wait(condition, what):
            deadline = time.monotonic() + SECONDS
            while not condition():
                logs = {name: process.new_lines() for name, process in running.items()}
                assert time.monotonic() < deadline, f"no {what}: {logs}"
                executor.spin_once(timeout_sec=0.05)

        wait(lambda: answers, "answer")
        spec, first = running["detector"].spec, answers[-1].activated
        running["detector"].signal(signal.SIGKILL)
        killed = time.monotonic()
        wait(lambda: running["detector"].status is not None, "end")
        wait(lambda: time.monotonic() - killed >= graph.respawn_delay, "delay")
        command = processes.node_command(spec, graph, folder)
        running["detector"] = processes.Process(spec, command, folder / "again.log", folder / "detector.yaml")
        wait(lambda: answers[-1].activated != first, "answer of the new detector")
        seconds = time.monotonic() - killed
        # How long it takes is the machine's; the figure stands in the test's report.
        record_property("seconds until the killed detector answered again", round(seconds, 2))
        print(f"the killed detector answered again after {seconds:.2f} s")
        assert all(process.status is None for process in running.values())
        node.destroy_node()
