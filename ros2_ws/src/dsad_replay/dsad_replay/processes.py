"""Nodes as plain processes: started, watched and stopped without a trace.

Each node leads a session of its own, so that Ctrl-C at the terminal reaches the runner alone and
the runner decides the order of the end. Output goes to a file, never a pipe: should the runner be
killed, the nodes get SIGINT from the kernel and finish undisturbed by a broken pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from dsad_bringup.graph import Graph, NodeSpec
from dsad_bringup.shared_memory import remove_stale_segments
from dsad_core.errors import UsageError

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
#: Seconds between SIGTERM and SIGKILL.
TERMINATE_SECONDS = 3.0


class Process:
    """One running node.

    Args:
        spec: the node.
        command: program and arguments.
        log: file that takes its output; an older one is replaced.
        parameters: file of its parameters, deleted once it has ended.
    """

    def __init__(self, spec: NodeSpec, command: Sequence[str], log: Path, parameters: Path):
        self.spec = spec
        self.log = log
        self.parameters = parameters
        with open(log, "wb") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        self._read_to = 0
        self._interrupted = False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def new_lines(self) -> list[str]:
        """Lines of output since the last call; an unfinished line waits for its end."""
        with open(self.log, "rb") as stream:
            stream.seek(self._read_to)
            block = stream.read()
        if self.status is None:
            block = block[: block.rfind(b"\n") + 1]
        self._read_to += len(block)
        return block.decode(errors="replace").splitlines()

    def interrupt(self) -> None:
        """Send SIGINT, once: what ends is not disturbed by a second one."""
        if not self._interrupted:
            self._interrupted = True
            self.signal(signal.SIGINT)

    def signal(self, number: int) -> None:
        """Send a signal; SIGKILL goes to everything the node has started."""
        if self.status is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._popen.pid, number)
            else:
                self._popen.send_signal(number)


def start(graph: Graph, logs: Path) -> list[Process]:
    """Start every node of a graph; the last in the graph first, so that the source comes last.

    Returns:
        The processes in the graph's order.

    Raises:
        UsageError: a package is not built.
    """
    commands = [node_command(spec, graph, logs) for spec in graph.nodes]
    logs.mkdir(parents=True, exist_ok=True)
    os.environ.update(graph.environment)
    remove_stale_segments()
    started: list[Process] = []
    try:
        for spec, command in reversed(list(zip(graph.nodes, commands))):
            log, parameters = logs / f"{spec.name}.log", _parameters(spec, logs)
            started.insert(0, Process(spec, command, log, parameters))
    except BaseException:
        stop(started, lambda: None)
        raise
    return started


def node_command(spec: NodeSpec, graph: Graph, folder: Path) -> list[str]:
    """Program and arguments of a node; its parameters are written to ``folder``.

    Raises:
        UsageError: its package is not built.
    """
    program = installed_program(spec.package, spec.executable)
    folder.mkdir(parents=True, exist_ok=True)
    parameters = _parameters(spec, folder)
    content = {spec.full_name: {"ros__parameters": dict(spec.parameters)}} if spec.parameters else {}
    # The address of a camera may hold a password.
    parameters.touch(mode=0o600)
    parameters.write_text(yaml.safe_dump(content, sort_keys=False))
    command = [str(program), "--ros-args", "-r", f"__ns:={spec.namespace}", "-r", f"__node:={spec.name}"]
    for topic, other in spec.remappings:
        command += ["-r", f"{topic}:={other}"]
    command += ["--params-file", str(graph.params_file)]
    if spec.parameters:
        command += ["--params-file", str(parameters)]
    return [*command, "--log-level", graph.log_level]


def installed_program(package: str, executable: str) -> Path:
    """An executable of a package.

    Raises:
        UsageError: the package is not built.
    """
    with contextlib.suppress(PackageNotFoundError, LookupError):
        program = Path(get_package_prefix(package), "lib", package, executable)
        if program.is_file():
            return program
    raise UsageError(f"{package} {executable} is not installed: build the workspace and source its setup")


def _parameters(spec: NodeSpec, folder: Path) -> Path:
    return folder / f"{spec.name}.yaml"


def stop(
    processes: Sequence[Process],
    tick: Callable[[], None],
    hurry: Callable[[], bool] = lambda: False,
) -> None:
    """Stop processes one after the other, those that only listen last and together: SIGINT, SIGTERM, SIGKILL.

    Args:
        processes: in the order in which they stop.
        tick: called while waiting, to show what they say.
        hurry: True when the user has lost patience: SIGTERM follows at once.
    """
    killed = False
    order = sorted(processes, key=lambda process: process.spec.only_listens)
    for place, process in enumerate(order):
        for each in order[place:] if process.spec.only_listens else [process]:
            each.interrupt()
        if not _wait(process, process.spec.stop_seconds, tick, hurry):
            process.signal(signal.SIGTERM)
            if not _wait(process, TERMINATE_SECONDS, tick):
                process.signal(signal.SIGKILL)
                _wait(process, TERMINATE_SECONDS, tick)
                killed = True
        # It may hold the password of a camera, which is nobody's who gets the logs.
        process.parameters.unlink(missing_ok=True)
    tick()
    if killed:
        remove_stale_segments()


def _wait(process: Process, seconds: float, tick, hurry=lambda: False) -> bool:
    deadline = time.monotonic() + seconds
    while process.status is None:
        if time.monotonic() > deadline or hurry():
            return False
        tick()
        time.sleep(0.02)
    return True


def _die_with(parent: int) -> Callable[[], None]:
    """Have the kernel send SIGINT to the child when the runner dies, even by SIGKILL."""

    def prepare():
        # Blocked until the node has handlers of its own (dsad_common.start).
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
