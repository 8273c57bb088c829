"""Thresholds swept from one inference a frame count what the detector counts at each of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsad_core.detector import Detector
from dsad_core.errors import UsageError
from dsad_core.metrics import DetectionAccumulator
from dsad_tools.analysis.sweep import ThresholdSweep, default_thresholds
from dsad_tools.evaluate import evaluate
from dsad_tools.scenes.generator import SceneGenerator


@pytest.mark.parametrize("outline", [None, 0.4])
def test_each_point_equals_an_evaluation_at_its_threshold(engine, monkeypatch, outline):
    manifest = engine.manifest.model_copy(update={"outline": outline})
    monkeypatch.setattr(engine, "manifest", manifest)
    scenes = SceneGenerator(90, 130, frames=5, seed=4)
    thresholds = (0.02, 0.3, 0.5, 0.97)
    sweep, detector = ThresholdSweep(thresholds, outline=outline), Detector(engine)
    for sample in scenes:
        sweep.update(detector.logits(sample.image), sample.mask)
    points = sweep.points()
    assert tuple(point.threshold for point in points) == thresholds
    for point in points:
        run = evaluate(Detector(engine, point.threshold), scenes, progress=False)
        assert point.result == run.result
    assert len({point.result.union for point in points}) >= 3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.integers(1, 6), matching=st.sampled_from(["nearest", "dnanet"]))
def test_counts_are_those_of_every_single_mask(seed, levels, matching):
    random = np.random.default_rng(seed)
    # Few levels make thresholds that give the same mask, which is counted once and added each time.
    logits = random.integers(-levels, levels + 1, (16, 20)).astype(np.float32)
    truth = (random.random((16, 20)) > 0.9).astype(np.uint8)
    thresholds = default_thresholds()
    sweep = ThresholdSweep(thresholds, matching)
    found = sweep.update(logits, truth)
    for point in sweep.points():
        alone = DetectionAccumulator(matching)
        limit = math.log(point.threshold / (1 - point.threshold))
        counts = alone.update(logits > limit, truth)
        assert (found[point.threshold], point.result) == (counts, alone.result())


def test_the_default_thresholds_rise_evenly_and_hold_the_round_ones():
    thresholds = default_thresholds()
    assert thresholds == sorted(set(thresholds)) and 0 < thresholds[0] < 1e-5 < 1 - 1e-5 < thresholds[-1] < 1
    assert {0.05, 0.5, 0.95} <= set(thresholds)
    np.testing.assert_allclose(thresholds, 1 - np.array(thresholds)[::-1], atol=1e-12)


@pytest.mark.parametrize(
    "thresholds, matching, words",
    [
        ([0.5, 1.0], "nearest", "threshold 1.0 must lie"),
        ([0.0], "nearest", "threshold 0.0 must lie"),
        ([0.5], "box", "'box' has no IoU"),
        ([0.5], "best", "'best' is unknown"),
    ],
)
def test_bad_arguments_are_named(thresholds, matching, words):
    with pytest.raises(UsageError, match=words):
        ThresholdSweep(thresholds, matching)
