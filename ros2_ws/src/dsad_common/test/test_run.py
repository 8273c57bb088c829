import os
import signal
import subprocess
import sys
import time

import pytest

NODE = """
import gc, sys, time
from pathlib import Path
from dsad_common.run import main
from rclpy.node import Node

class Writer(Node):
    def __init__(self):
        super().__init__("writer")
        self.create_timer(0.01, Path(sys.argv[1], "running").touch)
        gc.disable()

    def close(self):
        # One that is left to the garbage collector ends with a traceback in some runs.
        assert self.executor is None or not self.executor.get_nodes(), "the executor was not shut down"
        Path(sys.argv[1], "closing").touch()
        time.sleep(1.0)
        Path(sys.argv[1], "written").touch()

main(Writer)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_interrupt_does_not_cut_off_what_close_writes(tmp_path, number):
    process = subprocess.Popen([sys.executable, "-c", NODE, str(tmp_path)], text=True, stderr=subprocess.PIPE)
    try:
        await_file(tmp_path / "running")
        process.send_signal(number)
        await_file(tmp_path / "closing")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0 and "Traceback" not in errors, errors
    finally:
        process.kill()
    assert (tmp_path / "written").exists()


def await_file(path):
    deadline = time.monotonic() + 60.0
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.01)


@pytest.mark.parametrize("enclave, says", [("/none", "does not exist"), ("/there", "security")])
def test_a_middleware_that_makes_no_node_is_one_line(tmp_path, enclave, says):
    """A keystore that lacks the node's enclave; and one whose keys are missing, or a Fast DDS without security."""
    (tmp_path / "keystore" / "enclaves" / "there").mkdir(parents=True)
    environment = {
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(tmp_path / "keystore"),
    }
    process = subprocess.run(
        [sys.executable, "-c", NODE, str(tmp_path), "--ros-args", "--enclave", enclave],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 2 and "Traceback" not in process.stderr, process.stderr
    (line,) = [line for line in process.stderr.splitlines() if "[FATAL]" in line]
    assert says in line.lower()
