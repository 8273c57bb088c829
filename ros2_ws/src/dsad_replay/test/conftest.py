import signal
import subprocess
import sys

import psutil
import pytest

from dsad_common.isolation import own_domain

# A shell's background job ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

DSAD = [sys.executable, "-c", "from dsad_core.cli.start import main; main()"]


@pytest.fixture(autouse=True)
def isolated(monkeypatch):
    """An own ROS domain on this machine, so that no other test is heard."""
    with own_domain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.fixture
def up(tmp_path):
    """Starts ``dsad up name:=value ...``; whatever it started is gone after the test."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [*DSAD, "up", *arguments], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            family = [process, *psutil.Process(process.pid).children(recursive=True)]
            for member in family:
                member.send_signal(signal.SIGKILL)
            process.wait(timeout=10)
