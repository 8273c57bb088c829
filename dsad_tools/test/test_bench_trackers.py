"""Trackers side by side: ours is judged as `dsad evaluate --tracks` judges it, libraries run where they are."""

import importlib.util
import json
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from dsad_core.errors import DataError
from dsad_tools.bench.tracker_libraries import contenders
from dsad_tools.bench.trackers import Nearest, Ours, compare_trackers
from dsad_tools.cli.bench_trackers import trackers
from dsad_tools.data.write_sequence import write_sequence
from dsad_tools.evaluate_tracks import evaluate_tracks
from dsad_tools.scenes.generator import SceneGenerator
from dsad_tools.scenes.moving import MovingScene


def scene(**changes):
    return MovingScene(128, 160, frames=36, targets=(2, 3), terrain="cloud", snr=(15, 25), seed=4, **changes)


def test_ours_is_what_the_evaluation_counts(detector):
    sources = [scene(), scene(pan=3.0)]
    makers = {"ours": lambda fps, threshold: Ours(), "nearest": lambda fps, threshold: Nearest()}
    ours, nearest = compare_trackers(detector, sources, makers)
    run = evaluate_tracks(detector, sources)
    assert ours.result == run.result and ours.mot == run.mot
    assert len(ours.spans) == 72 and ours.cost.frames == 72
    assert 0.4 < nearest.result.coverage < 1 and nearest.result.points == run.result.points


@pytest.mark.parametrize("name", contenders()[0])
def test_whatever_is_installed_follows_a_clear_target(detector, name):
    make = contenders()[0][name]
    (standing,) = compare_trackers(detector, [scene()], {name: make})
    assert standing.result.coverage > 0.4 and standing.result.switches <= 2


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    here, absent = contenders()
    assert list(here) == ["ours", "ours without weak detections", "constant velocity, nearest"]
    assert absent == ["norfair", "stonesoup", "trackers"]


def test_frames_without_boxes_are_refused(detector):
    frames = [replace(sample, boxes=None) for sample in SceneGenerator(height=64, width=64, frames=3, seed=1)]

    class Source(list):
        name, fps = "stills", 25.0

    with pytest.raises(DataError, match="stills holds no frame with boxes"):
        compare_trackers(detector, [Source(frames)], {"ours": lambda fps, threshold: Ours()})


def test_the_command_prints_a_row_a_tracker(tmp_path):
    write_sequence(tmp_path / "scene", scene())
    app = typer.Typer()
    app.command()(trackers)
    arguments = [
        "local-contrast",
        str(tmp_path / "scene"),
        "--limit",
        "20",
        "--json",
        str(tmp_path / "t.json"),
    ]
    outcome = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    rows = json.loads((tmp_path / "t.json").read_text())["trackers"]
    assert [row["name"] for row in rows] == list(contenders()[0])
    assert rows[0]["tracks"]["frames"] == 20 and all(row["name"] in outcome.output for row in rows)
