"""Scores of the engines that ship for cameras order true and false answers."""

from pathlib import Path

import pytest

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import engine_for
from dsad_core.engines.manifest import load_manifest
from dsad_core.errors import PlatformError
from dsad_tools.evaluate import evaluate
from dsad_tools.scenes.generator import SceneGenerator

ENGINES = Path(__file__).resolve().parents[2] / "edge_engines"
CALIBRATED = [
    path.parent for path in sorted(ENGINES.glob("*/manifest.yaml")) if load_manifest(path.parent).calibration
]


def test_the_engine_for_cameras_is_calibrated():
    assert engine_for("camera").name in [folder.name for folder in CALIBRATED]


@pytest.mark.parametrize("folder", CALIBRATED, ids=lambda folder: folder.name)
def test_true_answers_score_above_false_ones_and_few_share_the_highest_score(folder):
    try:
        engine = load_engine(str(folder))
    except PlatformError as error:
        if not load_manifest(folder).float32_on_bytes:
            raise
        pytest.skip(f"this CPU runs no 8-bit integers: {error}")
    run = evaluate(Detector(engine), SceneGenerator(frames=24, seed=5, snr=(4.0, 15.0)), progress=False)
    engine.close()
    assert run.froc.auc >= 0.9
    assert run.froc.ceiling <= 0.25


@pytest.mark.parametrize("folder", CALIBRATED, ids=lambda folder: folder.name)
def test_a_score_was_worth_what_it_says_on_held_out_images(folder):
    """A constant score, or one that says the opposite, has no reliability diagram near the diagonal."""
    bins = load_manifest(folder).calibration.reliability
    answers = sum(bin.answers for bin in bins)
    error = sum(abs(bin.score - bin.true) * bin.answers for bin in bins) / answers
    assert len(bins) >= 5 and error < 0.1
