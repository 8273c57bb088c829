"""Faults: each is survived, leaves its counter and message, and no frame goes unaccounted for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from dsad_common import topics
from dsad_common.qos import reliable
from dsad_common.testing import NodeProcess, installed_executable
from dsad_core.engines import cache
from dsad_core.engines.cache import PlanKey
from dsad_core.errors import DsadError, EngineError
from dsad_metrics import ros2_bag
from dsad_replay.prove.rig import START, START_SECONDS, Rig, alone, pause, small_files
from dsad_tools.bags.read import BagReader
from dsad_tools.prove.proof import Check, Setting

#: Frames of each fault in the long form, and in every form.
LONG, LEAST = 2000, 30
WIDTH, HEIGHT = 64, 64
STOPPED_SECONDS = 1.0
#: Bytes at which the disk of a recording is full.
DISK = 400_000


def prove(setting: Setting) -> Iterator[Check]:
    """One check a fault."""
    count = setting.count(LONG, LEAST)
    with alone():
        with Rig(setting.folder, "faults", setting.engine) as rig:
            for name, fault in IN_ONE_RUN.items():
                begun = rig.sent
                seen = fault(rig, count)
                exact = rig.ends_exact()
                passed = "Traceback" not in rig.log
                yield Check(name, rig.sent - begun, "frames", passed, f"{seen}; so far {exact}")
            yield _others(rig, count)
            yield _engine_swap(rig, count)
            yield _killed(rig, count)
        yield _source(setting, count)
        yield _recording(setting, count)
        yield _shared_memory(setting, count)
    yield _unwritable_cache()
    yield _two_writers(setting.folder / "cache")


def _publisher_restarts(rig: Rig, count: int) -> str:
    for _ in range(3):
        rig.node.destroy_publisher(rig.camera)
        rig.camera = rig.node.create_publisher(Image, topics.IMAGE_RAW, reliable(10))
        rig.wait(rig.camera.get_subscription_count, "the detector to match the new publisher")
        for _ in range(count // 3):
            rig.send(WIDTH, HEIGHT)
    return "3 restarts"


def _clock_jumps(rig: Rig, count: int) -> str:
    first = len(rig.latencies)
    for stamp in (START - 10**12, START + 10**15, 0, START):
        rig.stamp = stamp
        for _ in range(count // 4):
            rig.send(WIDTH, HEIGHT)
    least = min(rig.latencies[first:])
    if least <= 0:
        raise DsadError(f"a latency of {least} ns")
    return f"4 jumps, smallest latency {least / 1e6:.2f} ms"


def _two_publishers(rig: Rig, count: int) -> str:
    second = rig.node.create_publisher(Image, topics.IMAGE_RAW, reliable(10))
    rig.wait(second.get_subscription_count, "the detector to match the second publisher")
    for number in range(count):
        rig.send(WIDTH, HEIGHT, second if number % 2 else None)
    rig.node.destroy_publisher(second)
    return "2 publishers in turn"


def _sizes(rig: Rig, count: int) -> str:
    sizes = ((64, 64), (96, 80), (160, 128), (65, 63))
    for number in range(count):
        rig.send(*sizes[number % len(sizes)])
    rig.send(WIDTH, HEIGHT)
    return f"{len(sizes)} sizes in turn"


def _lies(rig: Rig, count: int) -> str:
    refused = rig.counters.frames_refused
    for number in range(count):
        message = rig.image(WIDTH, HEIGHT)
        if number % 3 == 0:
            message.data = message.data[:100]
        elif number % 3 == 1:
            message.encoding = "thermal64"
        else:
            message.step = 3
        rig.publish(message)
        before = refused + number + 1
        rig.wait(lambda before=before: rig.counters.frames_refused >= before, "a refusal")
    rig.send(WIDTH, HEIGHT)
    if "thermal64" not in rig.log:
        raise DsadError("the detector's log does not name the encoding that it refused")
    return "short data, unknown encodings, wrong steps, each named in the log"


def _stopped(rig: Rig, count: int) -> str:
    rig.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(count):
            rig.publish(rig.image(WIDTH, HEIGHT))
        pause(STOPPED_SECONDS)
    finally:
        rig.process.send_signal(signal.SIGCONT)
    # The gap shows when a next frame comes.
    rig.send(WIDTH, HEIGHT)
    return f"{count} frames sent while the process stood"


def _burst(rig: Rig, count: int) -> str:
    for _ in range(count):
        rig.publish(rig.image(160, 128))
    rig.send(WIDTH, HEIGHT)
    return "sent as fast as they can be"


#: Fault -> what inflicts it and says what it did; the detector goes through all of them.
IN_ONE_RUN: dict[str, Callable[[Rig, int], str]] = {
    "publisher restarts": _publisher_restarts,
    "clock jumps": _clock_jumps,
    "two publishers": _two_publishers,
    "size changes": _sizes,
    "frames that lie": _lies,
    "a burst": _burst,
    "SIGSTOP and SIGCONT": _stopped,
}


def _killed(rig: Rig, count: int) -> Check:
    """SIGKILL in the middle of a frame; what respawns it is the launch, here the rig."""
    rig.publish(rig.image(WIDTH, HEIGHT))
    dead = rig.processes[-1]
    dead.send_signal(signal.SIGKILL)
    status = dead.wait()
    rig.start()
    for _ in range(count):
        rig.send(WIDTH, HEIGHT)
    return Check(
        "SIGKILL and a new process", rig.sent, "frames", status == -9, f"status {status}; {rig.ends_exact()}"
    )


def _others(rig: Rig, count: int) -> Check:
    """SIGSTOP and SIGKILL of those that listen to the detector: it answers as if they were not there."""
    begun = rig.sent
    for name in ("metrics", "recorder"):
        log = rig.folder / f"{name}.log"
        # The recorder is our own, also where `ros2 bag record` would take its place.
        own = ros2_bag.without(os.environ)
        process = NodeProcess("dsad_metrics", name, rig.namespace, log, own, **OPTIONS[name](rig))
        try:
            rig.wait(lambda name=name: name in rig.node.get_node_names(), f"the node {name}")
            rig.wait(lambda: rig.camera.get_subscription_count() > 1, f"{name} to subscribe")
            process.send_signal(signal.SIGSTOP)
            for _ in range(count):
                rig.send(WIDTH, HEIGHT)
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGKILL)
            process.wait()
            for _ in range(count):
                rig.send(WIDTH, HEIGHT)
        finally:
            process.send_signal(signal.SIGCONT)
            process.end()
    passed = "Traceback" not in rig.log
    return Check(
        "SIGSTOP and SIGKILL of metrics and recorder", rig.sent - begun, "frames", passed, rig.ends_exact()
    )


def _source(setting: Setting, count: int) -> Check:
    """SIGKILL of the source amid its frames, and a new one: the detector goes on, and counts each frame.

    How many frames a dead process sent only another subscriber can tell, and of the last one each of the two may have
    been the only one to get it.
    """
    statuses, seen = list[int](), list[Image]()
    with Rig(setting.folder, "source", setting.engine) as rig:
        rig.node.create_subscription(Image, topics.IMAGE_RAW, seen.append, reliable(100))
        rig.wait(lambda: rig.camera.get_subscription_count() == 2, "the two subscribers")
        size = {"width": WIDTH, "height": HEIGHT}
        for number in range(2):
            rig.answered.clear()
            source = NodeProcess(
                "dsad_source",
                "frame_source",
                rig.namespace,
                setting.folder / f"source{number}.log",
                source="synthetic",
                lock_step=True,
                **size,
            )
            try:
                rig.wait(lambda: len(rig.answered) >= count, "answers to the source", START_SECONDS)
                source.send_signal(signal.SIGKILL)
                statuses.append(source.wait())
            finally:
                source.end()
        rig.send(WIDTH, HEIGHT)
        rig.sent = len(seen)
        exact = rig.ends_exact(unknown=len(statuses))
        passed = statuses == [-9, -9] and "Traceback" not in rig.log
        return Check("SIGKILL of the source and a new one", len(seen), "frames", passed, f"2 times; {exact}")


#: Parameters of the nodes that listen.
OPTIONS: dict[str, Callable[[Rig], dict[str, str]]] = {
    "metrics": lambda rig: {"output_dir": str(rig.folder / "report")},
    "recorder": lambda rig: {"bag": str(rig.folder / "listened")},
}


def _engine_swap(rig: Rig, count: int) -> Check:
    """Another engine by parameter and transitions, while frames come: it answers, and says what it is."""
    for number in range(2):
        parameters = [Parameter("engine", value=("default", "local-contrast")[number]).to_parameter_msg()]
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            _transition(rig, transition)
        answer = rig.call(
            SetParameters, "detector/set_parameters", SetParameters.Request(parameters=parameters)
        )
        if not answer.results[0].successful:
            raise DsadError(answer.results[0].reason)
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            _transition(rig, transition)
        rig.begin()
        for _ in range(count):
            rig.send(WIDTH, HEIGHT)
    return Check("engine swap under load", rig.sent, "frames", "Traceback" not in rig.log, rig.ends_exact())


def _transition(rig: Rig, transition: int) -> None:
    request = ChangeState.Request(transition=Transition(id=transition))
    client = rig.node.create_client(ChangeState, "detector/change_state")
    rig.wait(client.service_is_ready, "the lifecycle service")
    future = client.call_async(request)
    tried = 0

    def done() -> bool:
        nonlocal tried
        tried += 1
        if tried % 5 == 0:
            rig.publish(rig.image(WIDTH, HEIGHT))
        return future.done()

    rig.wait(done, f"transition {transition}")
    rig.node.destroy_client(client)
    if not future.result().success:
        raise DsadError(f"transition {transition} failed: {rig.log[-300:]}")


def _recording(setting: Setting, count: int) -> Check:
    """The recorder's disk is full: it says so and ends, what is on the disk can be read, the detector goes on."""
    bag, log = setting.folder / "bag", setting.folder / "recorder.log"
    with Rig(setting.folder, "disk", setting.engine) as rig:
        command = [
            str(installed_executable("dsad_metrics", "recorder")),
            "--ros-args",
            "-r",
            f"__ns:={rig.namespace}",
        ]
        with open(log, "wb") as stream:
            recorder = subprocess.Popen(
                [*command, "-p", f"bag:={bag}", "-p", "part_duration:=1.0"],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | ros2_bag.without(os.environ),
                preexec_fn=small_files(DISK),
            )
        try:
            rig.wait(lambda: rig.camera.get_subscription_count() == 2, "the recorder to subscribe")
            while recorder.poll() is None and rig.sent < 100 * LEAST + count:
                rig.send(256, 256)
            status = recorder.wait(60)
        finally:
            recorder.kill()
            recorder.wait()
        exact = rig.ends_exact()
    said = [line for line in log.read_text(errors="replace").splitlines() if "cannot be written" in line]
    kept = BagReader(bag).info().messages if bag.exists() else 0
    passed = status == 1 and bool(said) and "Traceback" not in log.read_text(errors="replace")
    message = said[0].partition("]: ")[2] if said else log.read_text(errors="replace")[-200:]
    return Check(
        "full disk while recording",
        rig.sent,
        "frames",
        passed,
        f"status {status}, {kept} messages readable: {message}; {exact}",
    )


def _shared_memory(setting: Setting, count: int) -> Check:
    """A /dev/shm without room for segments: frames take the network instead, and the node says so."""
    probe = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /dev/shm"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        return Check("full /dev/shm", 0, "frames", None, "this user may not mount")
    wrapper = setting.folder / "full_shm"
    wrapper.write_text(
        "#!/bin/sh\nexec unshare --mount sh -c '"
        "mount -t tmpfs -o size=64k tmpfs /dev/shm; head -c 49152 /dev/zero > /dev/shm/full; "
        'exec "$@"\' sh "$@"\n'
    )
    wrapper.chmod(0o755)
    with Rig(setting.folder, "shm", setting.engine, wrapper=[str(wrapper)]) as rig:
        for _ in range(count):
            rig.send(256, 256)
        exact = rig.ends_exact()
        told = next((line for line in rig.log.splitlines() if "/dev/shm has" in line), "")
        return Check("full /dev/shm", rig.sent, "frames", bool(told), f"{exact}; {told}")


def _unwritable_cache() -> Check:
    with patch.dict(os.environ, DSAD_CACHE="/proc/dsad"):  # not even root can write there
        try:
            cache.obtain(_key(), lambda: b"")
            passed, seen = False, "it was written"
        except EngineError as error:
            passed, seen = "set DSAD_CACHE" in str(error), str(error)
    return Check("read-only cache", 1, "build", passed, seen)


def _two_writers(root: Path) -> Check:
    """Two processes want one plan: one builds, the other takes what it built."""
    code = (
        "import sys, time\nfrom dsad_core.engines import cache\nfrom dsad_replay.prove.faults import _key\n"
        "def build():\n    print('built', flush=True)\n    sys.stdin.readline()\n    return b'plan'\n"
        "cache.obtain(_key(), build)\nprint('done', flush=True)\n"
    )
    environment = os.environ | {"DSAD_CACHE": str(root)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said: list[str] = []
    readers = [
        threading.Thread(target=lambda process=process: said.append(process.stdout.read()))
        for process in processes
    ]
    for reader in readers:
        reader.start()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    statuses = [process.wait(120) for process in processes]
    for reader in readers:
        reader.join()
    built = "".join(said).count("built")
    with patch.dict(os.environ, DSAD_CACHE=str(root)):
        passed = statuses == [0, 0] and built == 1 and cache.stale(_key()) is None
    return Check(
        "two writers of one cache", 2, "processes", passed, f"{built} built, the other took its plan"
    )


def _key() -> PlanKey:
    return PlanKey("proof", "tensorrt", "0" * 64, "none 1.0", "no device", "", "fp32", (64, 64))
