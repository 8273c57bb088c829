"""The viewers' layouts show topics and fields that exist."""

import json
import re
import shutil
import subprocess
from operator import attrgetter
from pathlib import Path

import pytest
import yaml

import dsad_msgs.msg
from dsad_common.testing import NodeProcess
from dsad_replay.prove.rig import Rig, alone
from dsad_tools.bags.read import BagReader

ROOT = Path(__file__).resolve().parents[1]
LAYOUT = json.loads((ROOT / "launch" / "foxglove.json").read_text())
STUDIO = json.loads((ROOT / "launch" / "lichtblick.json").read_text())
#: What /irst/<topic> carries; None where fields are not looked at.
TYPES = {
    "image_raw": None,
    "mask": None,
    "overlay": None,
    "bearing": None,
    "detections": None,
    "engine": dsad_msgs.msg.EngineInfo,
    "timing": dsad_msgs.msg.FrameTiming,
    "tracks": dsad_msgs.msg.TrackArray,
}
STAGES = ("wait", "preprocess", "inference", "publish", "total")
NEEDS_NODE = pytest.mark.skipif(
    shutil.which("node") is None, reason="needs node, to run a script of the layout"
)


def texts(content):
    """All strings of a JSON tree, keys too."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from texts(value)
    elif isinstance(content, str):
        yield content


def script(name):
    return LAYOUT["userScripts"][name]["sourceCode"]


def test_topics_and_fields_of_the_foxglove_layout_exist():
    paths = [text for text in texts(LAYOUT["content"]) if text.startswith("/irst/")]
    assert {path.split("/")[2].split(".")[0] for path in paths} >= {"image_raw", "mask", "timing", "engine"}
    for path in paths:
        topic, *fields = path.removeprefix("/irst/").split(".")
        assert topic in TYPES, f"no topic {topic}"
        if fields and TYPES[topic]:
            assert fields[0] in TYPES[topic].get_fields_and_field_types(), path


def test_each_path_of_the_layout_leads_to_a_value_in_a_recorded_run(tmp_path):
    bag = tmp_path / "bag"
    with alone(), Rig(tmp_path, "view", "local-contrast") as rig:
        recorder = NodeProcess(
            "dsad_metrics", "recorder", rig.namespace, tmp_path / "recorder.log", bag=str(bag)
        )
        try:
            rig.wait(lambda: rig.camera.get_subscription_count() == 2, "the recorder to subscribe")
            for _ in range(20):
                rig.send(64, 64)
            assert recorder.interrupt() == 0, recorder.log()
        finally:
            recorder.end()
    last = {
        topic.removeprefix(f"{rig.namespace}/"): message for topic, _, message in BagReader(bag).messages()
    }
    assert set(last) >= {"image_raw", "mask", "engine", "timing", "tracks"}
    seen = 0
    for path in (text for text in texts(LAYOUT["content"]) if text.startswith("/irst/")):
        topic, *fields = path.removeprefix("/irst/").split(".")
        if topic in last:  # a camera without calibration has no bearings, and nobody looked at the overlay
            if fields:
                attrgetter(".".join(fields))(last[topic])
            seen += 1
    assert seen >= 6


def panels(content):
    """The panels of a layout of foxglove-sdk."""
    if content["type"] == "panel":
        return [content]
    return [panel for item in content["items"] for panel in panels(item["content"])]


def ids(tree):
    """The ids in a layout of Foxglove Studio, in reading order."""
    return [tree] if isinstance(tree, str) else ids(tree["first"]) + ids(tree["second"])


def test_the_layout_for_lichtblick_has_the_same_panels_and_scripts():
    assert ids(STUDIO["layout"]) == list(STUDIO["configById"])
    assert STUDIO["userNodes"] == LAYOUT["userScripts"]
    same = [{**panel["config"], "foxglovePanelTitle": panel["title"]} for panel in panels(LAYOUT["content"])]
    assert list(STUDIO["configById"].values()) == same


def test_what_the_layout_plots_of_its_scripts_is_what_they_give():
    paths = {text for text in texts(LAYOUT["content"]) if text.startswith("/irst_view/")}
    assert paths == {"/irst_view/annotations", *(f"/irst_view/latency.{stage}_ms" for stage in STAGES)}
    outputs = {re.search(r'output = "(.*?)"', script(name))[1] for name in LAYOUT["userScripts"]}
    assert {path.split(".")[0] for path in paths} == outputs


def run_script(name, message):
    """What a script of the layout makes of a message; its types are taken off, since node runs JavaScript."""
    source = re.sub(r"^import .*\n", "", script(name), flags=re.M)
    source = re.sub(r"^type .*;\n", "", source, flags=re.M)
    source = re.sub(r"event: Input<.*?>\): .* \{", "event) {", source).replace(": any[]", "")
    source = (
        source.replace(": any", "")
        .replace("export default function", "function")
        .replace("export const", "const")
    )
    program = f"{source}\nconst message = JSON.parse({json.dumps(json.dumps(message))});\n"
    program += "console.log(JSON.stringify(script({ message })));"
    result = subprocess.run(["node", "-e", program], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@NEEDS_NODE
def test_latency_by_stage_adds_up():
    moments = ("received", "started", "decoded", "preprocessed", "inferred", "postprocessed", "published")
    message = {name: 9_000_000_000 + 1_000_000 * number for number, name in enumerate(moments)}
    assert set(message) <= set(dsad_msgs.msg.FrameTiming.get_fields_and_field_types())
    found = run_script("latency", message)
    assert found == {"wait_ms": 1, "preprocess_ms": 2, "inference_ms": 1, "publish_ms": 2, "total_ms": 6}


@NEEDS_NODE
def test_confirmed_tracks_are_annotated_and_others_are_not():
    track = dsad_msgs.msg.Track
    one = {"id": 7, "motion": track.MOVING, "left": 10, "top": 20, "width": 4, "height": 2}
    assert set(one) <= set(track.get_fields_and_field_types())
    states = (track.TENTATIVE, track.CONFIRMED, track.COASTING, track.ENDED)
    stamp = {"sec": 3, "nsec": 4}
    message = {"header": {"stamp": stamp}, "tracks": [{**one, "state": state} for state in states]}
    found = run_script("annotations", message)
    assert [text["text"] for text in found["texts"]] == ["7", "7"]
    assert found["points"][0]["points"] == [
        {"x": x, "y": y} for x, y in ((4, 14), (20, 14), (20, 28), (4, 28))
    ]
    assert all(each["timestamp"] == stamp for each in (*found["points"], *found["texts"]))


def test_topics_of_the_rviz_file_exist_and_each_display_has_its_place():
    layout = yaml.safe_load((ROOT / "launch" / "dsad.rviz").read_text())
    displays = layout["Visualization Manager"]["Displays"]
    assert displays
    places = bytes.fromhex(layout["Window Geometry"]["QMainWindow State"])
    for display in displays:
        assert display["Topic"]["Value"].removeprefix("/irst/") in TYPES
        assert display["Name"].encode("utf-16-be") in places  # as Qt writes it
