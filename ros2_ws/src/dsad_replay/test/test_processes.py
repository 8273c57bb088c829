"""The order in which processes are stopped, with real ones."""

import sys

from dsad_bringup.graph import NodeSpec
from dsad_common.testing import wait_until
from dsad_replay.processes import Process, stop

#: Ends at SIGINT: first says so by a file, then waits for the files of others.
PROGRAM = """
import pathlib, signal, sys, time

name, *others = map(pathlib.Path, sys.argv[1:])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
name.with_suffix(".ready").touch()
signal.sigwait([signal.SIGINT])
if not name.name.startswith("listener") or name.with_name("publisher").exists():
    name.touch()
while not all(other.exists() for other in others):
    time.sleep(0.01)
"""


def start(folder, name, others, **spec):
    command = [sys.executable, "-c", PROGRAM, *(str(folder / each) for each in (name, *others))]
    return Process(
        NodeSpec("", "", name, "", **spec), command, folder / f"{name}.log", folder / f"{name}.yaml"
    )


def test_those_that_only_listen_stop_together_once_the_others_have_ended(tmp_path):
    listeners = {"only_listens": True, "stop_seconds": 60.0}
    processes = [
        start(tmp_path, "listener_a", ["listener_b"], **listeners),
        start(tmp_path, "publisher", [], stop_seconds=60.0),
        start(tmp_path, "listener_b", ["listener_a"], **listeners),
    ]
    wait_until(lambda: len(list(tmp_path.glob("*.ready"))) == len(processes))
    stop(processes, lambda: None)
    # Stopped one after the other, each would wait for the other's file until SIGTERM.
    assert [process.status for process in processes] == [0, 0, 0]
