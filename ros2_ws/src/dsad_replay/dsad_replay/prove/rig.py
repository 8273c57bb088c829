"""A detector in a process of its own, and a camera that knows what it sent."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import psutil
import rclpy
from ament_index_python.packages import get_package_share_directory
from sensor_msgs.msg import Image

from dsad_bringup.graph import dds_profile
from dsad_common import topics
from dsad_common.isolation import own_domain
from dsad_common.qos import latched, reliable
from dsad_common.stamps import stamp_ns
from dsad_common.testing import NodeClient, NodeProcess
from dsad_core.errors import DsadError
from dsad_core.frame.codec import fill_message
from dsad_msgs.msg import FrameCounters, FrameTiming
from dsad_tools.scenes.generator import SceneGenerator

#: Frames of each size that are sent in turn, and their period on their own clock, nanoseconds.
SCENES, PERIOD = 8, 40_000_000
START = 1_700_000_000_000_000_000
#: A detector may take so long from its start to its first answer, on a loaded machine, seconds.
START_SECONDS = 180.0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """rclpy in a domain that nobody else has, over loopback; what was set before comes back."""
    share = Path(get_package_share_directory("dsad_bringup"))
    with own_domain() as domain, patch.dict(os.environ, dds_profile(share) | domain):
        rclpy.init(args=[])
        try:
            yield
        finally:
            rclpy.try_shutdown()


class Rig(NodeClient):
    """A detector and a camera, alone in their namespace; a context manager.

    Attributes:
        sent: frames that the camera published since the detector was last activated.
        latencies: ns from receipt to publication of each answer.
        log: what the detector has said.
    """

    def __init__(self, folder: Path, name: str, engine: str, wrapper: Sequence[str] = (), **parameters):
        super().__init__(f"/prove_{name}", "camera")
        self.folder, self.name = folder, name
        self._start = lambda: NodeProcess(
            "dsad_detector",
            "detector",
            self.namespace,
            folder / f"{name}{len(self.processes)}.log",
            wrapper=wrapper,
            engine=engine,
            **parameters,
        )
        self.processes: list[NodeProcess] = []
        self.sent, self.stamp = 0, START
        self.latencies: list[int] = []
        self.answered: set[int] = set()
        self.counters, self.last, self._before = FrameCounters(), FrameTiming(), 0
        self.scenes: dict[tuple[int, int], list[np.ndarray]] = {}
        self.camera = self.node.create_publisher(Image, topics.IMAGE_RAW, reliable(10))
        self.node.create_subscription(FrameTiming, topics.TIMING, self._on_timing, reliable(100))
        self.node.create_subscription(FrameCounters, topics.COUNTERS, self._on_counters, latched())

    def __enter__(self) -> Rig:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.end()
        self.close()

    def start(self) -> None:
        """Start a detector and wait until it answers; what is sent counts from then on."""
        self.processes.append(self._start())
        self.begin()

    def begin(self) -> None:
        """Send frames until one is answered, and count from the answer to the next one on."""
        tried, stamps = 0.0, set[int]()

        def answered() -> bool:
            nonlocal tried
            if time.monotonic() - tried > 0.5:
                stamps.add(self.publish(self.image(64, 64)))
                tried = time.monotonic()
            return bool(stamps & self.answered)

        self.wait(answered, "a first answer", START_SECONDS)
        # Frames of one publisher come in their order: with this answer all of those are counted.
        self.send(64, 64)
        self.sent, self._before = 0, self.last.frames_received + self.last.frames_lost
        self.answered.clear()

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.processes[-1].pid)

    @property
    def log(self) -> str:
        return self.processes[-1].log()

    def image(self, width: int, height: int) -> Image:
        """The next frame."""
        if (height, width) not in self.scenes:
            scenes = SceneGenerator(height, width, SCENES, dtype="uint8")
            self.scenes[height, width] = [sample.image for sample in scenes]
        message = Image()
        fill_message(message, self.scenes[height, width][self.sent % SCENES], "mono8")
        self.stamp += PERIOD
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(self.stamp, 10**9)
        return message

    def publish(self, message: Image, camera=None) -> int:
        """Send a frame; its stamp."""
        (camera or self.camera).publish(message)
        self.sent += 1
        return stamp_ns(message.header.stamp)

    def send(self, width: int, height: int, camera=None) -> None:
        """Send a frame and wait until it is answered."""
        stamp = self.publish(self.image(width, height), camera)
        self.wait(lambda: stamp in self.answered, "an answer")
        self.answered.discard(stamp)

    def ends_exact(self, unknown: int = 0) -> str:
        """Wait until answered + dropped + lost + refused is what was sent; says the sum.

        Args:
            unknown: frames of which nobody knows whether they were sent: the last one of each publisher that was killed.

        Raises:
            DsadError: it never is.
        """
        try:
            self.wait(lambda: self._exact(unknown), "the counters")
        except AssertionError:
            raise DsadError(f"sent {self.sent}, but {self._sum()}") from None
        return f"{self._sum()} = {self.sent} sent" + (f", up to {unknown} unknown" if unknown else "")

    def wait(self, condition: Callable[[], object], what: str = "", timeout: float = 60.0):
        """See `NodeClient.wait`; a detector that ended is said at once."""

        def alive() -> object:
            if self.processes and not self.processes[-1].alive:
                raise DsadError(f"the detector ended: {self.log[-300:]}")
            return condition()

        return super().wait(alive, what, timeout)

    def _exact(self, unknown: int) -> bool:
        c = self.counters
        handled = c.frames_answered + c.frames_dropped + c.frames_refused
        known = abs(handled + c.frames_lost - self._before - self.sent) <= unknown
        return handled == c.frames_received and known

    def _sum(self) -> str:
        c = self.counters
        return (
            f"{c.frames_answered} answered + {c.frames_dropped} dropped + {c.frames_lost} lost + "
            f"{c.frames_refused} refused" + (f" - {self._before} to begin with" if self._before else "")
        )

    def _on_timing(self, message: FrameTiming) -> None:
        self.last = message
        self.latencies.append(message.published - message.received)
        self.answered.add(stamp_ns(message.header.stamp))

    def _on_counters(self, message: FrameCounters) -> None:
        self.counters = message


def small_files(limit: int) -> Callable[[], None]:
    """For a child before it runs: files end at ``limit`` bytes, as on a disk that is full then."""

    def apply() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return apply


def pause(seconds: float) -> None:
    """The time that a fault lasts; nothing is waited for."""
    time.sleep(seconds)
