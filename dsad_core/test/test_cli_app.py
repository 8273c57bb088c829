"""The command line turns a user's error into one line and exit status 2."""

import subprocess
import sys


def dsad(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dsad_core.cli.app", *arguments], capture_output=True, text=True, timeout=60
    )


def test_every_command_of_this_package_is_there():
    shown = dsad("--help")
    assert shown.returncode == 0
    for command in ("bag", "bench", "doctor", "evaluate"):
        assert command in shown.stdout


def test_a_missing_bag_is_one_line():
    shown = dsad("bag", "info", "no/such/bag")
    assert shown.returncode == 2
    assert "no/such/bag" in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1
    assert "Traceback" not in shown.stderr


def test_an_unknown_command_is_no_traceback():
    shown = dsad("fly")
    assert shown.returncode == 2
    assert "fly" in shown.stderr
    assert "Traceback" not in shown.stderr
