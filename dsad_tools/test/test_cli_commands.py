"""The tools' commands are part of the ``dsad`` command."""

import subprocess
import sys


def dsad(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dsad_core.cli.start", *arguments], capture_output=True, text=True, timeout=300
    )


def test_every_command_of_this_package_is_there():
    shown = dsad("--help")
    assert shown.returncode == 0
    for command in ("analyse", "bag", "bench", "evaluate"):
        assert command in shown.stdout


def test_a_missing_bag_is_one_line():
    shown = dsad("bag", "info", "no/such/bag")
    assert shown.returncode == 2
    assert "no/such/bag" in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1
    assert "Traceback" not in shown.stderr
