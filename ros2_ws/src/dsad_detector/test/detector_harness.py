"""A detector in a process of its own, and a client that talks to it over DDS as any user would."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from dsad_common.qos import latched, newest, reliable
from dsad_common.stamps import stamp_ns
from dsad_core.frame.codec import fill_message
from dsad_msgs.msg import EngineInfo, FrameCounters, FrameTiming, TargetArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

#: Generous: two loaded cores and late discovery. Waiting ends as soon as the condition holds.
DEADLINE = 60.0


def installed_executable(name: str) -> Path:
    """An installed executable of the package, as ``ros2 run`` finds it."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "lib" / "dsad_detector" / name
        if path.is_file():
            return path
    raise FileNotFoundError("dsad_detector is not built, or its workspace is not sourced")


def wait_until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Wait for a condition that needs no executor."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class DetectorProcess:
    """``detector`` under ``namespace`` with parameters; its log goes to ``log``."""

    def __init__(
        self,
        namespace: str,
        log: Path,
        environment: dict[str, str] | None = None,
        executable: str = "detector",
        **parameters,
    ):
        arguments = [str(installed_executable(executable)), "--ros-args", "-r", f"__ns:={namespace}"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={value}"]
        self._log = self.path = log
        with open(log, "wb") as stream:
            self._process = subprocess.Popen(
                arguments, stdout=stream, stderr=subprocess.STDOUT, env=os.environ | (environment or {})
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait(self, timeout: float = DEADLINE) -> int:
        """Exit status of a process that ends by itself."""
        return self._process.wait(timeout)

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Send a signal; returns the exit status."""
        self._process.send_signal(number)
        return self._process.wait(DEADLINE)

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        if self.alive:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Client:
    """Publishes frames, collects the answers, drives transitions and parameters.

    Attributes:
        masks, masks_best_effort, targets, timings, overlays: messages by stamp in nanoseconds.
        status: newest diagnostic status of the detector.
        engine, counters: newest EngineInfo and FrameCounters.
    """

    def __init__(self, namespace: str):
        self._namespace = self.namespace = namespace
        self.node = rclpy.create_node("client", namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._stamp = 1_700_000_000_000_000_001
        self.masks: dict[int, Image] = {}
        self.masks_best_effort: dict[int, Image] = {}
        self.targets: dict[int, TargetArray] = {}
        self.timings: dict[int, FrameTiming] = {}
        self.overlays: dict[int, Image] = {}
        self.order: list[str] = []
        self.status = None
        self.engine: EngineInfo | None = None
        self.counters: FrameCounters | None = None
        self.frames = self.node.create_publisher(Image, "image_raw", reliable(10))
        self.camera = self.node.create_publisher(CameraInfo, "camera_info", reliable(10))
        self._collect(Image, "mask", reliable(50), self.masks)
        self._collect(Image, "mask", newest(), self.masks_best_effort)
        self._collect(TargetArray, "targets", reliable(50), self.targets)
        self._collect(FrameTiming, "timing", reliable(50), self.timings)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable(10))
        self.node.create_subscription(EngineInfo, "engine", lambda it: setattr(self, "engine", it), latched())
        self.node.create_subscription(
            FrameCounters, "counters", lambda it: setattr(self, "counters", it), latched()
        )
        self._change_state = self.node.create_client(ChangeState, "detector/change_state")
        self._set_parameters = self.node.create_client(SetParameters, "detector/set_parameters")
        self._get_state = self.node.create_client(GetState, "detector/get_state")

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()

    def wait(self, condition: Callable[[], object], what: str, timeout: float = DEADLINE):
        """Spin until ``condition()`` is true and return it."""
        end = time.monotonic() + timeout
        while not (result := condition()):
            assert time.monotonic() < end, f"waited {timeout:.0f} s for {what}; last status: {self.status}"
            self._executor.spin_once(timeout_sec=0.05)
        return result

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
        self.state()
        request = ChangeState.Request()
        request.transition.id = transition
        self.wait(self._change_state.service_is_ready, "the service change_state")
        return self._change_state.call_async(request)

    def change_state(self, transition: int) -> bool:
        """Request a transition by its id; whether it succeeded."""
        # An answer gets lost while the server has not discovered the client yet. A transition cannot
        # be asked for twice; the state can, and its client is the last that the server discovers.
        self.state()
        request = ChangeState.Request()
        request.transition.id = transition
        return self._call(self._change_state, request).success

    def state(self) -> str:
        return self._call(self._get_state, GetState.Request(), repeat=1.0).current_state.label

    def set(self, **values) -> str:
        """Set parameters one by one; returns the reason of the first refusal, or ''."""
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        )
        results = self._call(self._set_parameters, request, repeat=1.0).results
        return next((result.reason for result in results if not result.successful), "")

    def fact(self, key: str) -> str:
        """A value of the newest status; '' if it has none."""
        values = self.status.values if self.status else []
        return next((value.value for value in values if value.key == key), "")

    def wait_for_status(self, condition: Callable[[], object], what: str):
        """Wait for a status published from now on that fulfils the condition."""
        self.status = None
        return self.wait(lambda: self.status is not None and condition(), what)

    def _call(self, client, request, repeat: float = DEADLINE):
        """Call a service; ask again after ``repeat`` seconds without an answer."""
        self.wait(client.service_is_ready, f"service {client.srv_name}")
        futures, tried = [], 0.0

        def answered():
            nonlocal tried
            if time.monotonic() - tried > repeat or not futures:
                futures.append(client.call_async(request))
                tried = time.monotonic()
            return next((future for future in futures if future.done()), None)

        return self.wait(answered, f"an answer of {client.srv_name}").result()

    def _collect(self, message_type, topic: str, qos, into: dict) -> None:
        def take(message) -> None:
            into[stamp_ns(message.header.stamp)] = message
            self.order.append(topic)

        self.node.create_subscription(message_type, topic, take, qos)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == f"{self._namespace}/detector".lstrip("/"):
                self.status = status


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
