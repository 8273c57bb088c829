"""For the packages' tests: a node in a process of its own, and a client that talks to it over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor

from dsad_common import topics
from dsad_common.qos import reliable

#: Seconds. Generous: a process may take a minute and more to start on loaded cores. Waiting ends as soon as the
#: condition holds.
DEADLINE = 300.0


def wait_until(condition: Callable[[], object], timeout: float = DEADLINE) -> None:
    """Wait for a condition that needs no executor."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def installed_executable(package: str, name: str) -> Path:
    """An installed executable, as ``ros2 run`` finds it."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "lib" / package / name
        if path.is_file():
            return path
    raise FileNotFoundError(f"{package} is not built, or its workspace is not sourced")


class NodeProcess:
    """An executable of a package under ``namespace`` with parameters.

    Args:
        wrapper: command that runs it, by exec, so that signals reach it.

    Attributes:
        path: of the file that its output goes to; pid: of the process.
    """

    def __init__(
        self,
        package: str,
        executable: str,
        namespace: str,
        log: Path,
        environment: dict[str, str] | None = None,
        wrapper: Sequence[str] = (),
        **parameters: object,
    ):
        command = [
            *wrapper,
            str(installed_executable(package, executable)),
            "--ros-args",
            "-r",
            f"__ns:={namespace}",
        ]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        self.path = log
        with open(log, "wb") as stream:
            self._process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, env=os.environ | (environment or {})
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        """Everything it has said."""
        return self.path.read_text(errors="replace")

    def wait(self, timeout: float = DEADLINE) -> int:
        """Exit status of a process that ends by itself."""
        return self._process.wait(timeout)

    def send_signal(self, number: int = signal.SIGINT) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Send a signal; returns the exit status."""
        self.send_signal(number)
        return self.wait()

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        if self.alive:
            self.send_signal()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class NodeClient:
    """A node of the test's process, spun while something is waited for.

    Attributes:
        statuses: newest diagnostic status of each node of the namespace, by the node's name.
    """

    def __init__(self, namespace: str, name: str = "client"):
        self.namespace = namespace
        self.node = rclpy.create_node(name, namespace=namespace)
        self.statuses: dict[str, DiagnosticStatus] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, reliable(10))

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()

    def state_for_people(self) -> object:
        """What a wait in vain shows."""
        return {name: status.message for name, status in self.statuses.items()}

    def wait(self, condition: Callable[[], Any], what: str = "", timeout: float = DEADLINE) -> Any:
        """Spin until ``condition()`` is true and return it."""
        end = time.monotonic() + timeout
        while not (result := condition()):
            assert time.monotonic() < end, (
                f"waited {timeout:.0f} s for {what}; last: {self.state_for_people()}"
            )
            self._executor.spin_once(timeout_sec=0.02)
        return result

    def call(self, kind: type, service: str, request: object = None, repeat: float = DEADLINE) -> Any:
        """Call a service; ask again after ``repeat`` seconds without an answer."""
        client = self.node.create_client(kind, service)
        self.wait(client.service_is_ready, f"service {service}")
        futures, tried = [], 0.0

        def answered():
            nonlocal tried
            if time.monotonic() - tried > repeat or not futures:
                futures.append(client.call_async(request or kind.Request()))
                tried = time.monotonic()
            return next((future for future in futures if future.done()), None)

        result = self.wait(answered, f"an answer of {service}").result()
        self.node.destroy_client(client)
        return result

    def fact_of(self, node: str, key: str) -> str:
        """A value of a node's newest diagnostic status; '' if there is none."""
        values = self.statuses[node].values if node in self.statuses else []
        return next((value.value for value in values if value.key == key), "")

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            namespace, _, name = f"/{status.name}".rpartition("/")
            if namespace == self.namespace:
                self.statuses[name] = status
