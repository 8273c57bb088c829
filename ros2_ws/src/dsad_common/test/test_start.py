"""A signal while a node is still importing, with a real process."""

import os
import signal
import subprocess
import sys

import pytest

SLOW = "import os, time\nos.write(1, b'importing')\nwhile True: time.sleep(0.01)\n"


def importing(tmp_path, **environment):
    (tmp_path / "slow_node.py").write_text(SLOW)
    return subprocess.Popen(
        [sys.executable, "-c", "from dsad_common.start import start; start('slow_node')"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_imports_ends_it_without_a_traceback(tmp_path, number):
    process = importing(tmp_path)
    assert process.stdout.read(9) == b"importing"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")


def test_it_does_not_start_where_its_launcher_is_dead(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait(timeout=30)
    process = importing(tmp_path, DSAD_LAUNCHER_PID=str(gone.pid))
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, b"", b"")
