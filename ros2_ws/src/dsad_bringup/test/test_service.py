"""The systemd unit, read by systemd itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "launch" / "dsad-detector.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit():
    result = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and UNIT.name not in result.stderr, result.stderr


def test_the_unit_ends_the_launch_by_the_signal_that_it_takes():
    lines = UNIT.read_text().splitlines()
    assert {"KillSignal=SIGINT", "KillMode=mixed", "Restart=on-failure"} <= set(lines)
