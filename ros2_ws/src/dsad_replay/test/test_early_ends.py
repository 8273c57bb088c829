"""Runs that cannot begin: one line that says why, status 2, no traceback, nothing left running, no password."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from conftest import DSAD

from dsad_tools.bags.raw import RawBagWriter
from dsad_tools.bags.types import IMAGE, typestore
from dsad_tools.bags.write import BagWriter
from dsad_tools.scenes.generator import SceneGenerator

NEEDS_LAUNCH = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None or importlib.util.find_spec("ros2launch") is None,
    reason="needs ROS 2's launch_ros and ros2launch (apt install ros-$ROS_DISTRO-ros2launch)",
)
PASSWORD = "s3cr3t"
#: Nobody listens on port 1.
ADDRESS = f"rtsp://pilot:{PASSWORD}@127.0.0.1:1/ir"
SECONDS = 300

#: Arguments of a run, and what the line says.
CASES = {
    "no camera": (("source:=camera", "path:=/dev/video97"), "camera /dev/video97: no such device"),
    "refused stream": (("source:=camera", f"path:={ADDRESS}"), "camera rtsp://***@127.0.0.1:1/ir: no stream"),
    "stream as a file": (("source:=video", f"path:={ADDRESS}"), "no such file or folder"),
    "no video": (("source:=video", "path:=text.mp4"), "text.mp4"),
    "images as a video": (("source:=video", "path:=images"), "images"),
    "empty folder": (("source:=folder", "path:=empty"), "empty"),
    "no bag": (("source:=bag", "bag:=text.mp4"), "text.mp4"),
    "no topic of images": (("source:=bag", "bag:=notes"), "notes"),
    "image_topic of another bag": (("source:=bag", "bag:=good", "image_topic:=/nope"), "/nope"),
    "image_topic of another type": (("source:=bag", "bag:=notes", "image_topic:=/note"), "/note"),
    "an empty topic": (("source:=bag", "bag:=silent"), "holds no message"),
    "no engine of that name": (("source:=synthetic", "engine:=nobody"), "no engine 'nobody'"),
    "an engine that cannot be configured": (("source:=synthetic", "backend:=direct"), "direct"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the cases name."""
    folder = tmp_path_factory.mktemp("early")
    (folder / "text.mp4").write_text("no video\n" * 100)
    (folder / "empty").mkdir()
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_bytes(b"no image")
    with RawBagWriter(folder / "notes") as bag:
        bag.add_topic("/note", "std_msgs/msg/String")
        note = typestore().types["std_msgs/msg/String"](data="hello")
        bag.write("/note", 1, typestore().serialize_cdr(note, "std_msgs/msg/String"))
    with RawBagWriter(folder / "silent") as bag:
        bag.add_topic("/irst/image_raw", IMAGE)
    with BagWriter(folder / "good") as bag:
        bag.write(SceneGenerator(64, 64, 1)[0])
    return folder


def run(command, folder):
    """Exit status and output of a command that ends by itself; nothing of it may live on."""
    with subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        output, _ = process.communicate(timeout=SECONDS)
    assert not run_processes(folder), output
    return process.returncode, output


def run_processes(folder):
    """The processes of this test's domain that were started in a folder."""
    return [each for each in psutil.process_iter() if _is_of(each, folder)]


def _is_of(process, folder):
    try:
        domain = process.environ().get("ROS_DOMAIN_ID")
        return (process.cwd(), domain) == (str(folder), os.environ["ROS_DOMAIN_ID"])
    except psutil.Error:
        return False


def everything_written(folder):
    return "\n".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("case", CASES)
def test_dsad_up(folder, tmp_path, case):
    arguments, reason = CASES[case]
    given = ["engine:=local-contrast", *arguments, f"output:={tmp_path / 'out'}"]
    status, output = run([*DSAD, "up", *given], folder)
    assert status == 2 and reason in output, output
    assert "Traceback" not in output
    assert PASSWORD not in output + everything_written(tmp_path)
    assert "Traceback" not in everything_written(tmp_path)


@NEEDS_LAUNCH
@pytest.mark.parametrize("case", CASES)
def test_replay_launch(folder, tmp_path, monkeypatch, case):
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))
    arguments, reason = CASES[case]
    command = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]
    command += ["launch", "--noninteractive", "dsad_replay", "replay.launch.py"]
    status, output = run([*command, "engine:=local-contrast", *arguments], folder)
    assert status != 0 and reason in output, output
    assert "Traceback" not in output
    assert PASSWORD not in output + everything_written(tmp_path)


#: Node, parameters, and what its line says.
ALONE = {
    "no camera": (
        "dsad_source",
        "frame_source",
        {"source": "camera", "device": "/dev/video97"},
        "no such device",
    ),
    "refused stream": ("dsad_source", "frame_source", {"source": "camera", "path": ADDRESS}, "no stream"),
    "no video": ("dsad_source", "frame_source", {"source": "video", "path": "text.mp4"}, "text.mp4"),
    "empty folder": ("dsad_source", "frame_source", {"source": "folder", "path": "empty"}, "empty"),
    "no bag": ("dsad_source", "bag_replay", {"bag": "text.mp4"}, "text.mp4"),
    "no topic of images": ("dsad_source", "bag_replay", {"bag": "notes"}, "notes"),
    "image_topic of another bag": (
        "dsad_source",
        "bag_replay",
        {"bag": "good", "image_topic": "/nope"},
        "/nope",
    ),
    "a bag that exists": ("dsad_metrics", "recorder", {"bag": "good"}, "exists already"),
    "no matching": ("dsad_metrics", "metrics", {"matching": "best"}, "'best' is not one of"),
    "no engine to build": ("dsad_detector", "build_engine", {"engine": "nobody"}, "no engine 'nobody'"),
    "no size": ("dsad_detector", "detector", {"frame_size": "huge"}, "huge"),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_node_alone(folder, tmp_path, monkeypatch, case):
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))
    package, executable, parameters, reason = ALONE[case]
    status, output = run(node(package, executable, parameters), folder)
    said = [line for line in output.splitlines() if "FATAL" in line or "ERROR" in line]
    assert status == 2 and len(said) == 1 and reason in said[0], output
    assert "Traceback" not in output and PASSWORD not in output + everything_written(tmp_path)


def node(package, executable, parameters):
    prefixes = os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)
    paths = (Path(prefix) / "lib" / package / executable for prefix in prefixes)
    command = [str(next(path for path in paths if path.is_file())), "--ros-args", "-r", "__ns:=/irst"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    return command
