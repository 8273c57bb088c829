"""Tracks scored offline with a real engine on generated scenes, their report, and the command."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.errors import DataError, UsageError
from dsad_tools.cli import evaluate as command
from dsad_tools.cli import scenes
from dsad_tools.data.open import open_source
from dsad_tools.data.sequences import open_sequences
from dsad_tools.data.write_sequence import write_sequence
from dsad_tools.evaluate_tracks import evaluate_tracks
from dsad_tools.metrics.mot import MotSequence, mot_figures
from dsad_tools.report.tracks import render_tracks
from dsad_tools.scenes.generator import SceneGenerator
from dsad_tools.scenes.moving import MovingScene


def scene(**changes):
    return MovingScene(128, 160, frames=60, targets=(2, 3), terrain="cloud", snr=(15, 25), seed=4, **changes)


def test_targets_of_a_scene_are_followed(detector):
    run = evaluate_tracks(detector, [scene(), scene(pan=3.0)])
    assert [each.frames for each in run.sequences] == [60, 60]
    assert run.result.coverage > 0.5 and run.result.switches <= 2
    assert run.detection.targets == run.result.points
    assert run.kinds["scene"] == 120 and run.track_ms.frames == 120
    page = render_tracks(run)
    assert (
        page.count("<section>") == 3
        and "False confirmed tracks a minute" in page
        and page.count("<figure>") > 2
    )
    assert json.dumps(run.to_dict(), allow_nan=False)


def test_corrections_confirm_nothing_and_are_counted(detector):
    run = evaluate_tracks(detector, [scene(correction_s=1.0, dtype="uint16")])
    quiet = evaluate_tracks(detector, [scene(dtype="uint16")])
    assert run.kinds["repeated"] == 6 and run.kinds["shutter"] == 6 and run.kinds["settling"] >= 6
    # A spot of clutter may get another id over a correction, but nothing is confirmed where nothing is without one.
    places = np.concatenate([line.points for line in quiet.sequences[0].tracks + quiet.sequences[0].truth])
    for line in run.sequences[0].tracks:
        assert np.linalg.norm(places - line.points[0], axis=1).min() < 3


def test_a_scene_is_the_same_each_time_and_labels_what_is_in_view():
    source = scene(pan=3.0)
    first, again = source[40], source[40]
    assert np.array_equal(first.image, again.image) and np.array_equal(first.ids, again.ids)
    assert abs(source.offset(40) - source.offset(39)) == 3
    for sample in source:
        centres = sample.boxes[:, :2] + (sample.boxes[:, 2:] - 1) / 2
        assert ((centres >= 0) & (centres < (160, 128))).all()
        assert len(set(sample.ids.tolist())) == len(sample.ids)
    with pytest.raises(UsageError, match="pan 9"):
        scene(pan=9)


def test_scenes_are_written_and_read_back_whole(tmp_path):
    source = scene(correction_s=1.0, dtype="uint16")
    app = typer.Typer()
    app.callback()(lambda: None)
    scenes.register(app)
    assert write_sequence(tmp_path / "own", source) == 60
    for sample, back in zip(source, open_source(tmp_path / "own")):
        assert np.array_equal(sample.image, back.image)
        assert (sample.boxes is None) == (back.boxes is None)
        if sample.boxes is not None:
            assert np.allclose(sample.boxes, back.boxes, atol=0.006) and np.array_equal(sample.ids, back.ids)
    arguments = ["scenes", str(tmp_path / "many"), "--count", "2", "--frames", "3", "--size", "64x48"]
    outcome = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0 and len(open_sequences(tmp_path / "many")) == 2


def test_what_has_no_boxes_is_refused(detector):
    with pytest.raises(DataError, match="scored by boxes"):
        evaluate_tracks(detector, [SceneGenerator(64, 64, frames=2)])
    with pytest.raises(UsageError, match="no sequence"):
        evaluate_tracks(detector, [])


def test_mot_figures_of_a_story_counted_by_hand():
    pytest.importorskip("trackeval", reason="TrackEval is not installed")
    story = MotSequence()
    for index in range(10):
        story.truth_ids.append([5])
        story.track_ids.append([1 if index < 5 else 2])
        story.similarity.append(np.ones((1, 1)))
    figures = mot_figures([story])
    assert figures.deta == pytest.approx(1.0) and figures.assa == pytest.approx(0.5)
    assert figures.idf1 == pytest.approx(0.5) and figures.mota == pytest.approx(0.9)


def test_command_on_a_folder_of_sequences(engine_dir, tmp_path):
    for name in ("one", "two"):
        write_sequence(tmp_path / "clips" / name, scene())
    (tmp_path / "list.txt").write_text("# kept apart\ntwo\n")
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    arguments = ["evaluate", str(engine_dir), str(tmp_path / "clips"), "--tracks", "--threads", "1"]
    outputs = ["--json", str(tmp_path / "run.json"), "--report", str(tmp_path / "report")]
    chosen = ["--clips", str(tmp_path / "list.txt")]
    outcome = CliRunner().invoke(app, arguments + outputs + chosen, catch_exceptions=False)
    assert outcome.exit_code == 0 and "coverage by confirmed tracks" in outcome.output
    written = json.loads((tmp_path / "run.json").read_text())
    assert [each["name"] for each in written["sequences"]] == ["two"]
    assert (tmp_path / "report" / "tracks.html").read_text().startswith("<!doctype html>")


def test_lists_that_do_not_fit_are_refused(tmp_path):
    write_sequence(tmp_path / "clips" / "one", scene())
    (tmp_path / "list.txt").write_text("nobody\n")
    with pytest.raises(DataError, match="nobody is no annotated sequence"):
        open_sequences(tmp_path / "clips", tmp_path / "list.txt")
    with pytest.raises(DataError, match="is one sequence"):
        open_sequences(tmp_path / "clips" / "one", tmp_path / "list.txt")
    assert [source.name for source in open_sequences(tmp_path / "clips" / "one")] == ["one"]
