"""SIGINT and SIGTERM at any moment: no traceback, nothing left running, and the exit status says why it ended.

How long that takes is no matter of these tests: they only bound it for a machine that is busy.
"""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from conftest import DSAD
from rosbags.highlevel import AnyReader
from test_early_ends import node, run_processes

SECONDS = 300
NODES = {
    "frame_source": ("dsad_source", "frame_source", {"source": "synthetic", "wait_for_subscribers": 600.0}),
    "detector": ("dsad_detector", "detector", {"engine": "local-contrast"}),
    "metrics": ("dsad_metrics", "metrics", {}),
    "recorder": ("dsad_metrics", "recorder", {"bag": "bag"}),
}
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def wait_until(condition, process, log):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.002)


def has_loaded(process, library):
    """Whether a process has mapped a shared library: how far its imports are."""
    return library in Path(f"/proc/{process.pid}/maps").read_text()


def is_on_the_network(process):
    """Whether its node is made: that opens the sockets of DDS."""
    return bool(psutil.Process(process.pid).net_connections(kind="udp"))


#: What a process has reached; the first is the moment of its start.
MOMENTS = {
    "at once": lambda process: True,
    "while rclpy is imported": lambda process: has_loaded(process, "librcl"),
    "while the rest is imported": lambda process: has_loaded(process, "numpy"),
    "while the node is made": lambda process: has_loaded(process, "librmw_fastrtps"),
    "once it is on the network": is_on_the_network,
}


@pytest.fixture
def started(tmp_path):
    """Starts a command as a launcher does, with SIGINT blocked until it has handlers of its own."""
    processes = []

    def start(command, block=True):
        log = tmp_path / "log"
        mask = {signal.SIGINT} if block else set()
        with open(log, "wb") as output:
            processes.append(
                subprocess.Popen(
                    command,
                    cwd=tmp_path,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, mask),
                )
            )
        return processes[-1], log

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait(SECONDS)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", NODES)
def test_a_node(started, name, moment, number):
    process, log = started(node(*NODES[name]))
    wait_until(lambda: MOMENTS[moment](process), process, log)
    process.send_signal(number)
    status = process.wait(SECONDS)
    # Before Python runs our first line, SIGTERM does what the system does with it.
    early = {-signal.SIGTERM} if moment == "at once" and number == signal.SIGTERM else set()
    assert status in {0, *early}, log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", ["importing", "starting", "running"])
def test_dsad_up(started, tmp_path, moment, number):
    arguments = ["engine:=local-contrast", "source:=synthetic", "rate:=20", "output:=out", "record:=out/bag"]
    process, log = started([*DSAD, "up", *arguments], block=False)
    reached = {
        "importing": lambda: has_loaded(process, "pydantic_core"),
        "starting": lambda: len(run_processes(tmp_path)) > 1,
        "running": lambda: re.search(r"\b[1-9]\d* frames  Pd", log.read_text()),
    }
    wait_until(reached[moment], process, log)
    process.send_signal(number)
    status = process.wait(SECONDS)
    said = log.read_text() + "".join(path.read_text() for path in tmp_path.glob("out/logs/*.log"))
    assert "Traceback" not in said, said
    assert run_processes(tmp_path) == []
    if moment == "importing":
        # Nothing is running yet; 1 is what the command line library ends with at Ctrl-C.
        assert status in ({-signal.SIGTERM} if number == signal.SIGTERM else {1, 130}), said
    elif moment == "running":
        assert status == 0, said
        assert json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]["frames"] > 0
        with AnyReader([tmp_path / "out" / "bag"]) as bag:
            counts = {name: info.msgcount for name, info in bag.topics.items()}
        assert counts["/irst/image_raw"] >= counts["/irst/mask"] > 0
    else:
        # A report without frames is one too; where the metrics had not begun, that is said.
        assert status == 0 or (status == 2 and "left no" in said), said


def test_everything_of_this_run_is_seen(tmp_path):
    """The other tests prove that nothing is left by `run_processes`: it must find what there is."""
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path, env=os.environ) as process:
        assert [each.pid for each in run_processes(tmp_path)] == [process.pid]
        process.kill()
