"""The command line turns a user's error into one line and exit status 2."""

import subprocess
import sys

import typer
from typer.testing import CliRunner

from dsad_core.cli.commands import add_commands
from dsad_core.errors import NotInstalledError


def dsad(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dsad_core.cli.start", *arguments], capture_output=True, text=True, timeout=300
    )


def test_every_command_of_this_package_is_there():
    shown = dsad("--help")
    assert shown.returncode == 0
    for command in ("compile", "doctor"):
        assert command in shown.stdout


def test_a_missing_engine_is_one_line():
    shown = dsad("compile", "no/such/engine")
    assert shown.returncode == 2
    assert "no/such/engine" in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1
    assert "Traceback" not in shown.stderr


def test_an_unknown_command_is_no_traceback():
    shown = dsad("fly")
    assert shown.returncode == 2
    assert "fly" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_command_whose_needs_are_elsewhere_is_not_listed_and_says_what_is_missing(tmp_path, monkeypatch):
    facts = tmp_path / "robot-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Name: robot\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[dsad.plugins]\ntest.fly = robot_cli:register\ntest.look = dsad_core.cli.doctor:register\n"
    )
    (tmp_path / "robot_cli.py").write_text("import no_such_ros\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    application = typer.Typer()
    add_commands("test", application)
    shown = CliRunner().invoke(application, ["--help"])
    assert "doctor" in shown.output and "fly" not in shown.output and "no_such_ros" not in shown.output
    error = CliRunner().invoke(application, ["fly", "there", "--fast"]).exception
    assert isinstance(error, NotInstalledError)
    assert "fly" in str(error) and "no_such_ros" in str(error) and sys.executable in str(error)


def test_ctrl_c_during_the_imports_leaves_no_traceback():
    code = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from dsad_core.cli.start import main
main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stderr) == (130, "")
