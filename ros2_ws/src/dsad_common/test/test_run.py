import os
import signal
import subprocess
import sys
import time

import pytest

NODE = """
import sys, time
from pathlib import Path
from dsad_common.run import main
from rclpy.node import Node

class Writer(Node):
    def __init__(self):
        super().__init__("writer")
        Path(sys.argv[1], "running").touch()

    def close(self):
        Path(sys.argv[1], "closing").touch()
        time.sleep(1.0)
        Path(sys.argv[1], "written").touch()

main(Writer)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_interrupt_does_not_cut_off_what_close_writes(tmp_path, number):
    environment = os.environ | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 101)}
    process = subprocess.Popen([sys.executable, "-c", NODE, str(tmp_path)], env=environment)
    try:
        await_file(tmp_path / "running")
        process.send_signal(number)
        await_file(tmp_path / "closing")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
    assert (tmp_path / "written").exists()


def await_file(path):
    deadline = time.monotonic() + 60.0
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.01)
