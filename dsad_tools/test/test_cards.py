"""Model cards say what the manifests say, for every engine of the checkout."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.engines.locate import engine_for
from dsad_core.engines.manifest import (
    HeldOutResult,
    ReliabilityBin,
    ScoreCalibration,
    ThresholdChoice,
    load_manifest,
    read_manifest,
    save_manifest,
)
from dsad_tools.cards.card import render
from dsad_tools.cli.card import register

ENGINES = Path(__file__).resolve().parents[2] / "edge_engines"
FOLDERS = sorted(path.parent for path in ENGINES.glob("*/manifest.yaml"))


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["card", *map(str, arguments)])


@pytest.fixture
def measured(tmp_path):
    """An engine's folder whose manifest holds what `dsad calibrate` writes."""
    folder = tmp_path / "local-contrast"
    shutil.copytree(ENGINES / "local-contrast", folder)
    rates = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    sets = [
        HeldOutResult(
            data_set=name,
            frames=80,
            targets=targets,
            pd=0.8123 if targets else None,
            false_a_frame=0.175,
            pd_at={rate: 0.5 + rate / 4 if targets else None for rate in rates},
            auc=0.9876 if targets else None,
            ceiling=0.0123,
            judged=name != "frames-16bit",
        )
        for name, targets in (("NUDT-SIRST", 103), ("frames-16bit", 0))
    ]
    bins = [ReliabilityBin(score=score, true=score, answers=50) for score in (0.05, 0.35, 0.95)]
    update = {
        "threshold_choice": ThresholdChoice(split_hash="0" * 12, images=1928, false_a_frame=0.2, sets=sets),
        "calibration": ScoreCalibration(scale=0.7, offset=-1.0, answers=150, reliability=bins),
    }
    save_manifest(folder, read_manifest(folder).model_copy(update=update))
    return folder


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_card_of_an_engine_is_what_its_manifest_says(folder):
    assert (folder / "README.md").read_text(encoding="utf-8") == render(load_manifest(folder))


def test_the_engines_of_the_cameras_model_are_for_cameras():
    model = read_manifest(engine_for("camera")).sha256
    for folder in FOLDERS:
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert ("come from an infrared camera" in card) == (read_manifest(folder).sha256 == model)


def test_a_card_has_every_held_out_set_the_calibration_and_a_picture(measured):
    result = run(measured)
    assert result.exit_code == 0, result.output
    text = (measured / "README.md").read_text(encoding="utf-8")
    assert "| NUDT-SIRST | 80 | 103 | 0.8123 | 0.175 | 0.5025 | 0.5250 | 0.7500 | 0.9876 | 0.0123 |" in text
    assert "| frames-16bit (unlabelled, no say) | 80 | 0 | - | 0.175 | - | - | - | - | 0.0123 |" in text
    assert "calibrated" in text and "held_out.png" in text
    picture = cv2.imread(str(measured / "held_out.png"))
    assert picture.shape[1] > picture.shape[0] and len(np.unique(picture)) > 10


def test_a_folder_that_is_no_engine_is_refused(tmp_path):
    result = run(tmp_path)
    assert result.exit_code != 0 and not list(tmp_path.iterdir())
