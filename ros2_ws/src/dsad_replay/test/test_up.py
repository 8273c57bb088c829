"""``dsad up`` with the real nodes as processes."""

import json
import re
import signal
import subprocess
import time

import psutil
import pytest
from rosbags.highlevel import AnyReader

FRAMES = 30
SYNTHETIC = ("engine:=local-contrast", "source:=synthetic", "output:=out")


def nodes_of(process, count):
    """The node processes that a runner has started, once there are ``count``."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and process.poll() is None:
        children = psutil.Process(process.pid).children()
        if len(children) == count:
            return children
        time.sleep(0.05)
    raise AssertionError(f"no {count} nodes: {process.communicate()}")


def node(children, name):
    return next(child for child in children if f"__node:={name}" in child.cmdline())


def await_end(processes):
    _, alive = psutil.wait_procs(processes, timeout=300)
    assert not alive, [process.cmdline() for process in alive]


def await_line(process, pattern):
    """The first line of output in which the pattern is found."""
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"'{pattern}' never came: {process.communicate()}")


def test_a_run_ends_with_its_source_and_leaves_report_bag_and_logs(up, tmp_path):
    process = up(*SYNTHETIC, f"limit:={FRAMES}", "lock_step:=true", "record:=out/bag")
    children = nodes_of(process, 4)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, output + errors
    await_end(children)

    result = json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]
    assert result["frames"] == FRAMES and result["targets"] > 0
    assert "<html" in (tmp_path / "out" / "report.html").read_text()
    with AnyReader([tmp_path / "out" / "bag"]) as bag:
        counts = {name: info.msgcount for name, info in bag.topics.items()}
    assert counts["/irst/image_raw"] == counts["/irst/mask"] == FRAMES
    logs = {path.name for path in (tmp_path / "out" / "logs").glob("*.log")}
    assert logs == {"source.log", "detector.log", "recorder.log", "metrics.log"}
    assert f"{FRAMES} frames" in output and "out/report.html" in output


def test_ctrl_c_ends_a_run_without_end_with_its_report(up, tmp_path):
    process = up(*SYNTHETIC, "rate:=20")
    children = nodes_of(process, 3)
    await_line(process, r"\b[1-9]\d* frames  Pd")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, output + errors
    await_end(children)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]["frames"] > 0


def test_a_node_that_dies_ends_the_run_and_is_named(up, tmp_path):
    process = up(*SYNTHETIC)
    children = nodes_of(process, 3)
    await_line(process, r"\[detector\]")
    node(children, "detector").kill()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "detector was killed by SIGKILL" in errors and "detector.log" in errors
    await_end(children)


def test_nodes_do_not_outlive_a_runner_that_is_killed(up):
    process = up(*SYNTHETIC)
    children = nodes_of(process, 3)
    await_line(process, r"\[detector\]")
    process.kill()
    await_end(children)


def test_a_node_that_refuses_its_parameters_ends_the_run(up, tmp_path):
    (tmp_path / "mine.yaml").write_text("/**/detector:\n  ros__parameters:\n    min_area: 0\n")
    process = up(*SYNTHETIC, "params_file:=mine.yaml")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 2 and "detector ended with status 2" in errors
    assert "min_area" in output


def test_an_engine_is_built_and_the_run_is_over(up):
    process = up("engine:=local-contrast", "build_only:=true", "backend:=onnxruntime")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, output + errors
    assert "engine local-contrast" in output and "ready at 640x512" in output


def test_an_engine_that_cannot_be_built_is_no_success(up, tmp_path):
    (tmp_path / "mine.yaml").write_text("/**/detector:\n  ros__parameters:\n    frame_size: huge\n")
    process = up("engine:=local-contrast", "build_only:=true", "params_file:=mine.yaml")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 2 and "detector ended with status 2" in errors
    assert "frame_size" in output


@pytest.mark.parametrize("argument", ["speed:=3", "source:=bag", "engine:=nobody", "target:=tpu", "rate:=-1"])
def test_a_bad_argument_is_one_line_and_status_2(up, argument):
    process = up(argument)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 2 and not output
    assert len(errors.splitlines()) == 1 and argument.partition(":=")[2] in errors


def test_the_argument_list_is_complete():
    from conftest import DSAD

    from dsad_replay.arguments import ARGUMENTS

    output = subprocess.run([*DSAD, "up", "--show-args"], capture_output=True, text=True, timeout=300).stdout
    assert all(argument.name in output for argument in ARGUMENTS)
