"""Source and detector as processes, measured from outside by the detector's own timing messages.

The source replays a short bag of generated frames in a loop: it lies in memory after the first
pass and its serialised messages go out as they are, so that the source takes as little of the
machine as a source can.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.executors import Executor
from std_srvs.srv import Trigger

from dsad_bringup.graph import Graph, NodeSpec, dds_profile
from dsad_common import topics
from dsad_common.qos import reliable
from dsad_core.errors import DsadError
from dsad_core.frame.encodings import ENCODINGS
from dsad_msgs.msg import FrameTiming
from dsad_replay import processes
from dsad_replay.bench.launched import NAMESPACE, TICK_SECONDS, spin
from dsad_replay.bench.timings import Block, Case
from dsad_tools.bags.write import BagWriter
from dsad_tools.scenes.generator import SceneGenerator

#: Frames in the bag, and its frames a second, on which the replay's rate is a factor.
BAG_FRAMES, BAG_RATE = 16, 10.0
#: Frames under way in a free run: one in the engine, one on its way.
WINDOW = 2
#: An engine may take minutes to be built for a device the first time, seconds.
START_SECONDS = 600.0
#: A service of the source may take so long, seconds.
ANSWER_SECONDS = 10.0


class Pipeline:
    """Source and detector of one case while they run; a context manager, paused at first.

    Args:
        case: what to measure.
        detector: parameters of the detector.
        patience: seconds after which the source gives up an answer in a free run.
        folder: scratch for the bag, parameters and logs.
        executor: of this process.

    Raises:
        DsadError: a process died, or does not answer.
    """

    def __init__(self, case: Case, detector: dict, patience: float, folder: Path, executor: Executor):
        self._case = case
        self._patience = patience
        self._logs = folder / "logs"
        self._executor = executor
        self._answers: list[FrameTiming] = []
        source = {
            "bag": str(_write_bag(case, folder / "frames")),
            "loop": True,
            "restamp": True,
            "rate": case.rate / BAG_RATE if case.rate else 0.0,
            "lock_step": case.rate is None,
            "lock_step_window": WINDOW,
            "lock_step_timeout": patience,
            "wait_for": ["detector"],
            "wait_for_subscribers": START_SECONDS,
            "start_paused": True,
        }
        detector = detector | {"frame_size": f"{case.width}x{case.height}"}
        share = Path(get_package_share_directory("dsad_bringup"))
        self._graph = Graph(
            nodes=(
                NodeSpec("dsad_source", "bag_replay", "source", NAMESPACE, source),
                NodeSpec("dsad_detector", "detector", "detector", NAMESPACE, detector),
            ),
            environment=dds_profile(share),
            params_file=share / "config" / "params.yaml",
            namespace=NAMESPACE,
            log_level="warn",
        )

    def __enter__(self) -> Pipeline:
        self._processes = processes.start(self._graph, self._logs)
        self._node = rclpy.create_node("bench", namespace=NAMESPACE)
        self._node.create_subscription(FrameTiming, topics.TIMING, self._answers.append, reliable(50))
        verbs = ("start", "pause", "step")
        self._clients = {verb: self._node.create_client(Trigger, f"source/{verb}") for verb in verbs}
        self._executor.add_node(self._node)
        try:
            # Frames one by one, until an answer shows that all three processes have found each other.
            while not self._answers:
                self._call("step")
                self._spin(1.0, until=lambda: self._answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info) -> None:
        processes.stop(self._processes, lambda: time.sleep(TICK_SECONDS))
        self._executor.remove_node(self._node)
        self._node.destroy_node()

    def run_free(self, frames: int) -> Block:
        """As many frames a second as are answered, for ``frames`` answers."""
        self._call("start")
        # The first two frames come at once, and the second may take the first one's place in the
        # subscription. From when that answer is given up they come one by one.
        self._spin(self._patience + 0.1)
        first = len(self._answers)
        while len(self._answers) < first + frames:
            count = len(self._answers)
            if not self._spin(START_SECONDS, until=lambda count=count: len(self._answers) > count):
                raise DsadError(f"no answer within {START_SECONDS:g} s; the logs are in {self._logs}")
        block = Block(self._answers[first - 1], self._answers[first:])
        self._pause()
        return block

    def run_at_rate(self, frames: int, step: Callable[[int], None]) -> Block:
        """The time that ``frames`` frames take at the case's rate, whether the detector keeps up or not."""
        first, begin = len(self._answers), time.monotonic()
        self._call("start")
        while (passed := int((time.monotonic() - begin) * self._case.rate)) < frames:
            self._spin(TICK_SECONDS)
            step(passed)
        self._pause()
        return Block(self._answers[first - 1], self._answers[first:])

    def _pause(self) -> None:
        """Pause the source and wait until the detector has nothing left to answer."""
        self._call("pause")

        def idle() -> bool:
            last = self._answers[-1]
            return last.frames_received == last.frames_answered + last.frames_dropped + last.frames_refused

        self._spin(max(1.0, self._patience), until=idle)

    def _call(self, verb: str) -> None:
        client = self._clients[verb]
        answered = self._spin(START_SECONDS, until=client.service_is_ready) and self._spin(
            ANSWER_SECONDS, until=client.call_async(Trigger.Request()).done
        )
        if not answered:
            raise DsadError(f"the source does not answer to {verb}; the logs are in {self._logs}")

    def _spin(self, seconds: float, until: Callable[[], object] = lambda: False) -> bool:
        """Take messages until ``until`` holds or the time is over; whether it held."""
        return spin(self._executor, self._processes, seconds, until)


def _write_bag(case: Case, path: Path) -> Path:
    dtype = ENCODINGS[case.encoding].dtype.name
    scenes = SceneGenerator(case.height, case.width, frames=BAG_FRAMES, dtype=dtype)
    with BagWriter(path, fps=BAG_RATE, namespace=NAMESPACE) as writer:
        for sample in scenes:
            writer.write(sample, case.encoding)
    return path
