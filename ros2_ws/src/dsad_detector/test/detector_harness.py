"""A detector in a process of its own, and a client that talks to it over DDS as any user would."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from dsad_common.qos import latched, newest, reliable
from dsad_common.stamps import stamp_ns
from dsad_common.testing import NodeClient, NodeProcess
from dsad_core.frame.codec import fill_message
from dsad_msgs.msg import EngineInfo, FrameCounters, FrameTiming, TargetArray


class DetectorProcess(NodeProcess):
    """``detector``, or another executable of its package."""

    def __init__(
        self,
        namespace: str,
        log: Path,
        environment: dict[str, str] | None = None,
        executable: str = "detector",
        **parameters,
    ):
        super().__init__("dsad_detector", executable, namespace, log, environment, **parameters)


class Client(NodeClient):
    """Publishes frames, collects the answers, drives transitions and parameters.

    Attributes:
        masks, masks_best_effort, targets, timings, overlays: messages by stamp in nanoseconds.
        engine, counters: newest EngineInfo and FrameCounters.
    """

    def __init__(self, namespace: str):
        super().__init__(namespace)
        self._stamp = 1_700_000_000_000_000_001
        self.masks: dict[int, Image] = {}
        self.masks_best_effort: dict[int, Image] = {}
        self.targets: dict[int, TargetArray] = {}
        self.timings: dict[int, FrameTiming] = {}
        self.overlays: dict[int, Image] = {}
        self.order: list[str] = []
        self.engine: EngineInfo | None = None
        self.counters: FrameCounters | None = None
        self.frames = self.node.create_publisher(Image, "image_raw", reliable(10))
        self.camera = self.node.create_publisher(CameraInfo, "camera_info", reliable(10))
        self._collect(Image, "mask", reliable(50), self.masks)
        self._collect(Image, "mask", newest(), self.masks_best_effort)
        self._collect(TargetArray, "targets", reliable(50), self.targets)
        self._collect(FrameTiming, "timing", reliable(50), self.timings)
        self.node.create_subscription(EngineInfo, "engine", lambda it: setattr(self, "engine", it), latched())
        self.node.create_subscription(
            FrameCounters, "counters", lambda it: setattr(self, "counters", it), latched()
        )
        self._change_state = self.node.create_client(ChangeState, "detector/change_state")

    @property
    def status(self) -> DiagnosticStatus | None:
        """Newest diagnostic status of the detector."""
        return self.statuses.get("detector")

    # Frames

    def image(self, frame: np.ndarray, encoding: str) -> Image:
        """A message with a stamp of its own and an unusual frame_id."""
        message = Image()
        message.header.frame_id = "gimbal/infrared optical"
        fill_message(message, frame, encoding)
        return self.stamped(message)

    def stamped(self, message: Image) -> Image:
        """Give the message the next stamp."""
        self._stamp += 40_000_000
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(self._stamp, 1_000_000_000)
        return message

    def wait_for_detector(self) -> None:
        """Until it has subscribed and its publishers are matched."""
        self.wait(lambda: self.frames.get_subscription_count() > 0, "the detector to subscribe to image_raw")
        self.wait(
            lambda: all(self.node.count_publishers(topic) for topic in ("mask", "targets", "timing")),
            "the detector's publishers",
        )

    def ask(self, message: Image, publisher=None) -> FrameTiming:
        """Publish a frame until it is answered on every topic; returns the timing."""
        key, tried = stamp_ns(message.header.stamp), 0.0

        def answered() -> FrameTiming | None:
            nonlocal tried
            # Input is best effort, so a single frame may be lost; a second one does no harm.
            if time.monotonic() - tried > 1.0:
                (publisher or self.frames).publish(message)
                tried = time.monotonic()
            return self.timings.get(key) if key in self.masks and key in self.targets else None

        return self.wait(answered, f"the answer to {message.width}x{message.height} {message.encoding}")

    def publish_until(self, message: Image, condition: Callable[[], object], what: str):
        """Publish the frame again and again until the condition holds."""
        tried = 0.0

        def done():
            nonlocal tried
            if time.monotonic() - tried > 0.3:
                self.frames.publish(message)
                tried = time.monotonic()
            return condition()

        return self.wait(done, what)

    # Lifecycle, parameters, diagnostics

    def begin_transition(self, transition: int):
        """Request a transition by its id without waiting; its future."""
        # An answer gets lost while the server has not discovered the client yet. A transition cannot
        # be asked for twice; the state can, and its client is the last that the server discovers.
        self.state()
        request = ChangeState.Request()
        request.transition.id = transition
        self.wait(self._change_state.service_is_ready, "the service change_state")
        return self._change_state.call_async(request)

    def change_state(self, transition: int) -> bool:
        """Request a transition by its id; whether it succeeded."""
        answer = self.begin_transition(transition)
        return self.wait(lambda: answer.done() and answer.result(), "the transition to end").success

    def state(self) -> str:
        return self.call(GetState, "detector/get_state", repeat=1.0).current_state.label

    def set(self, **values) -> str:
        """Set parameters one by one; returns the reason of the first refusal, or ''."""
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        )
        results = self.call(SetParameters, "detector/set_parameters", request, repeat=1.0).results
        return next((result.reason for result in results if not result.successful), "")

    def fact(self, key: str) -> str:
        """A value of the detector's newest status; '' if it has none."""
        return self.fact_of("detector", key)

    def wait_for_status(self, condition: Callable[[], object], what: str):
        """Wait for a status published from now on that fulfils the condition."""
        self.statuses.clear()
        return self.wait(lambda: self.status is not None and condition(), what)

    def _collect(self, message_type, topic: str, qos, into: dict) -> None:
        def take(message) -> None:
            into[stamp_ns(message.header.stamp)] = message
            self.order.append(topic)

        self.node.create_subscription(message_type, topic, take, qos)


#: Where ``scene`` puts its targets, as shares of width and height.
SPOTS = ((0.25, 0.3), (0.7, 0.55), (0.45, 0.8))


def scene(height: int, width: int, dtype=np.uint8) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """A noisy frame of the dtype's whole range with three blurred spots; and their (x, y)."""
    noise = np.random.default_rng(height * width).normal(0.35, 0.008, (height, width))
    rows, columns = np.mgrid[:height, :width]
    centres = [(round(x * width), round(y * height)) for x, y in SPOTS]
    for x, y in centres:
        noise += 0.5 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.1**2))
    top = 1.0 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (noise.clip(0.0, 1.0) * top).astype(dtype), centres


_BUILDING_ENGINE = """
import os, time
from dsad_core.engines import progress
from dsad_core.engines.load import load_engine


class BuildingEngine:
    builds = True

    def __init__(self, path, target, threads):
        self._engine = load_engine("local-contrast", "cpu", 1)
        self.manifest, self.platform, self.description = self._engine.manifest, target, "a stand-in for a device"
        self._built = set()

    def infer(self, tensor):
        size = tensor.shape[2:]
        if size not in self._built:
            with open(os.environ["BUILDING_LOG"], "a") as log:
                log.write(f"{size[1]}x{size[0]}\\n")
            while not os.path.exists(os.environ["BUILDING_GO"]):
                if "BUILDING_DEAF" not in os.environ:
                    progress.report(f"building for {size[1]}x{size[0]}, step 3 of 7")
                time.sleep(0.02)
            self._built.add(size)
        logits = self._engine.infer(tensor)
        return logits * float("nan") if os.path.exists(os.environ["BUILDING_NAN"]) else logits

    def close(self):
        self._engine.close()
"""


class Building:
    """The checkpoint of an engine that builds, and the package that loads it in the detector's process.

    Attributes:
        engine: to give as the parameter ``engine``.
        environment: of the detector's process.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        facts = folder / "packages" / "building-1.0.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text("Name: building\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(
            "[dsad.plugins]\nengine.safetensors = building:BuildingEngine\n"
        )
        (folder / "packages" / "building.py").write_text(_BUILDING_ENGINE)
        (folder / "run").mkdir()
        (folder / "run" / "weights.safetensors").write_bytes(b"")
        self.engine = str(folder / "run")
        path = os.pathsep.join([str(folder / "packages"), os.environ.get("PYTHONPATH", "")])
        self.environment = {
            "PYTHONPATH": path,
            "BUILDING_LOG": str(folder / "log"),
            "BUILDING_GO": str(folder / "go"),
            "BUILDING_NAN": str(folder / "nan"),
        }

    def hold(self) -> None:
        """Let builds wait from now on, and forget those there were."""
        (self._folder / "go").unlink(missing_ok=True)
        (self._folder / "log").unlink(missing_ok=True)

    def go(self) -> None:
        """Let builds end."""
        (self._folder / "go").touch()

    def answer_nan(self, yes: bool) -> None:
        """Whether every logit is NaN from now on."""
        path = self._folder / "nan"
        path.touch() if yes else path.unlink(missing_ok=True)

    @property
    def builds(self) -> list[str]:
        """Sizes that were built, in order."""
        log = self._folder / "log"
        return log.read_text().split() if log.is_file() else []
