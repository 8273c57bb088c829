"""The launch file. Its run needs ROS 2's own launch, which robots have and PyPI has not."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsad_replay.arguments import ARGUMENTS

PACKAGE = Path(__file__).parents[1]
LAUNCH_FILE = PACKAGE / "launch" / "replay.launch.py"
NEEDS_LAUNCH = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None or importlib.util.find_spec("ros2launch") is None,
    reason="needs ROS 2's launch_ros and ros2launch (apt install ros-$ROS_DISTRO-ros2launch)",
)
FRAMES = 20


def launch(*arguments, timeout=300):
    command = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]
    command += ["launch", "--noninteractive", "dsad_replay", "replay.launch.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def test_it_takes_arguments_and_nodes_from_the_graph():
    tree = ast.parse(LAUNCH_FILE.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = {(node.module, alias.name) for node in imports for alias in node.names}
    assert ("dsad_replay.arguments", "ARGUMENTS") in imported
    assert ("dsad_replay.graph", "build_replay_graph") in imported


def test_the_readme_explains_every_argument():
    rows = [line for line in (PACKAGE / "README.md").read_text().splitlines() if line.startswith("| `")]
    explained = {word.strip("`") for row in rows for word in row.split("|")[1].replace(",", " ").split()}
    assert {argument.name for argument in ARGUMENTS} <= explained


@NEEDS_LAUNCH
def test_it_declares_the_arguments_of_the_graph():
    spec = importlib.util.spec_from_file_location("replay_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    declared = module.generate_launch_description().get_launch_arguments()
    assert [argument.name for argument in declared] == [argument.name for argument in ARGUMENTS]


@NEEDS_LAUNCH
def test_a_launch_ends_with_its_source_and_leaves_the_report(tmp_path):
    out = tmp_path / "out"
    result = launch(
        "engine:=local-contrast",
        "source:=synthetic",
        f"limit:={FRAMES}",
        "lock_step:=true",
        f"output:={out}",
        f"record:={out / 'bag'}",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads((out / "metrics.json").read_text())["metrics"]["frames"] == FRAMES
    assert (out / "report.html").is_file() and (out / "bag" / "metadata.yaml").is_file()
    assert "process has died" not in result.stdout + result.stderr


@NEEDS_LAUNCH
def test_what_cannot_run_is_one_line():
    result = launch("engine:=nobody")
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "no engine 'nobody'" in said and "Traceback" not in said
