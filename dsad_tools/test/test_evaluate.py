"""Offline evaluation with a real engine on generated scenes, and its command."""

import json

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.errors import DataError, UsageError
from dsad_core.metrics import DetectionAccumulator
from dsad_tools.bags.write import BagWriter
from dsad_tools.cli import evaluate as command
from dsad_tools.data.sample import Sample
from dsad_tools.evaluate import evaluate
from dsad_tools.scenes.generator import SceneGenerator


class Listed:
    """A source of given samples."""

    name, kind, split_hash, fps, notes = "listed", "images", "", None, []

    def __init__(self, *samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __iter__(self):
        return iter(self.samples)


@pytest.fixture
def scenes():
    return SceneGenerator(96, 128, frames=12, seed=3)


def test_counts_equal_an_accumulator_fed_by_hand(detector, scenes):
    by_hand = DetectionAccumulator("nearest")
    for sample in scenes:
        by_hand.update(detector.detect(sample.image).mask, sample.mask)
    run = evaluate(detector, scenes, progress=False, pictures=4)
    assert run.result == by_hand.result()
    assert run.result.targets > 0 and run.result.frames == 12
    assert run.facts.engine == "local-contrast" and run.facts.matching == "nearest"
    assert run.facts.engine_sha256 == detector.engine.manifest.sha256
    assert len(run.frames) == 12 and len(run.pictures) == 4
    assert sum(frame.counts.hits for frame in run.frames) == run.result.hits
    assert run.latency["total"].frames == 12 and run.frame_rate > 0


def test_every_size_is_warmed_up_once_and_a_part_of_a_split_has_no_hash(detector, monkeypatch):
    warmed = []
    monkeypatch.setattr(detector, "warm_up", lambda *size: warmed.append(size))
    sizes = [(32, 48), (48, 32), (32, 48), (48, 32)]
    source = Listed(*(Sample(str(index), np.zeros(size, np.uint8)) for index, size in enumerate(sizes)))
    monkeypatch.setattr(source, "split_hash", "0123456789ab", raising=False)
    assert evaluate(detector, source).facts.split_hash == "0123456789ab"
    assert warmed == sizes[:2]
    assert evaluate(detector, source, limit=3).facts.split_hash == ""


def test_unlabelled_frames_are_run_and_counted_apart(detector):
    image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    labelled = Sample("b", image, np.zeros((64, 64), np.uint8))
    run = evaluate(detector, Listed(Sample("a", image), labelled, Sample("c", image)), progress=False)
    assert (run.result.frames, run.counters["frames_unlabelled"]) == (1, 2)
    nothing = evaluate(detector, Listed(Sample("a", image)), progress=False)
    assert (nothing.result.frames, nothing.result.pd) == (0, None)


def test_boxes_choose_their_own_matching(detector):
    image = np.full((64, 64), 20, np.uint8)
    image[30:33, 30:33] = 250
    run = evaluate(detector, Listed(Sample("a", image, boxes=np.array([[28, 28, 7, 7]]))), progress=False)
    assert (run.facts.matching, run.result.hits, run.result.iou) == ("box", 1, None)


def test_bad_requests_name_the_frame_or_the_value(detector, scenes):
    with pytest.raises(DataError, match="listed, frame a: .*scores truth masks"):
        evaluate(
            detector,
            Listed(Sample("a", np.zeros((8, 8), np.uint8), boxes=np.empty((0, 4)))),
            "nearest",
            False,
        )
    with pytest.raises(DataError, match="holds no frame"):
        evaluate(detector, Listed(), progress=False)
    with pytest.raises(UsageError, match="limit 0"):
        evaluate(detector, scenes, progress=False, limit=0)
    with pytest.raises(UsageError, match="'best'"):
        evaluate(detector, scenes, "best", False)


def test_command_on_a_bag(engine_dir, scenes, detector, tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for sample in scenes:
            bag.write(sample)
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    arguments = ["evaluate", str(engine_dir), str(tmp_path / "bag"), "--threads", "1", "--limit", "10"]
    outputs = ["--json", str(tmp_path / "run.json"), "--report", str(tmp_path / "report")]
    outcome = CliRunner().invoke(app, arguments + outputs, catch_exceptions=False)
    assert outcome.exit_code == 0
    offline = evaluate(detector, scenes, progress=False, limit=10)
    saved = json.loads((tmp_path / "run.json").read_text())
    assert saved["metrics"] == offline.result.to_dict()
    assert saved["metrics"] == json.loads((tmp_path / "report" / "metrics.json").read_text())["metrics"]
    assert f"{offline.result.hits} of {offline.result.targets} targets" in outcome.output
    assert f"{offline.result.false_targets / 10:.3g} a frame" in outcome.output
    assert (tmp_path / "report" / "report.html").exists()


def test_command_refuses_an_unknown_matching(engine_dir, tmp_path):
    with pytest.raises(UsageError, match="'best' is unknown"):
        command.evaluate(str(engine_dir), tmp_path, matching="best")


def test_peaks_and_grid_are_printed(engine_dir, tmp_path):
    for part in ("images", "masks"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for sample in SceneGenerator(96, 128, frames=4, seed=3):
        for part, content in (("images", sample.image), ("masks", sample.mask)):
            cv2.imwrite(str(tmp_path / "set" / part / f"{sample.name}.png"), content)
    app = typer.Typer()
    command.register(app)
    arguments = [str(engine_dir), str(tmp_path / "set"), "--split", "all", "--size", "96x64", "--flip"]
    result = CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "run.json")])
    assert result.exit_code == 0, result.output
    assert "Pd at 0.1 false a frame" in result.output and "AUC of peaks" in result.output
    assert "grid 96x64" in result.output and "turned by 180 degrees" in result.output
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["metrics"]["pixels"] == 4 * 96 * 64 and content["froc"]["frames"] == 4
