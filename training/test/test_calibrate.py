"""Thresholds and scores from held-out peaks, against what is known of drawn ones."""

import numpy as np
import pytest

from dsad_core.errors import UsageError
from dsad_core.metrics.froc import FrocAccumulator, Peaks
from dsad_core.targets import sigmoid
from dsad_training.calibrate import Calibration

FRAMES, PER_FRAME = 400, 10


def drawn(seed: int, scale: float, offset: float) -> FrocAccumulator:
    """Peaks of any logit, true with the chance sigmoid(scale * logit + offset)."""
    random = np.random.default_rng(seed)
    peaks = FrocAccumulator()
    for _ in range(FRAMES):
        logits = -np.sort(-random.uniform(-3, 6, PER_FRAME)).astype(np.float32)
        places = np.column_stack([np.arange(PER_FRAME) * 50.0, np.zeros(PER_FRAME)])
        true = random.random(PER_FRAME) < sigmoid(scale * logits + offset)
        peaks.update(Peaks(places, logits), centroids=places[true])
    return peaks


def calibration(peaks: dict[str, FrocAccumulator], unlabelled: set[str] = frozenset()) -> Calibration:
    return Calibration(peaks, frozenset(unlabelled), "0" * 12, FRAMES)


def test_scores_say_how_often_an_answer_is_true():
    scores = calibration({"a": drawn(0, 0.8, -1.5), "b": drawn(1, 0.8, -1.5)}).scores()
    assert scores.scale == pytest.approx(0.8, abs=0.08)
    assert scores.offset == pytest.approx(-1.5, abs=0.15)
    for bin in scores.reliability:
        # Three standard deviations of a share of so many answers.
        assert bin.true == pytest.approx(bin.score, abs=3 * np.sqrt(0.25 / bin.answers))


def test_a_score_rises_with_the_logit():
    scores = calibration({"a": drawn(0, 0.8, -1.5)}).scores()
    assert (np.diff(scores.score(np.linspace(-10, 10, 50))) > 0).all()


def test_the_threshold_keeps_the_rate_and_a_lower_one_does_not():
    peaks = {"a": drawn(0, 0.8, -1.5), "b": drawn(1, 0.5, -2.0)}
    threshold, choice = calibration(peaks).choose(1.0)

    def rate(limit: float) -> float:
        logit = np.log(limit / (1 - limit))
        return float(np.mean([(each.false > logit).sum() / each.frames for each in peaks.values()]))

    assert rate(threshold + 5e-4) <= 1.0 < rate(threshold - 2e-3)
    assert np.mean([each.false_a_frame for each in choice.sets]) <= 1.0
    assert [each.data_set for each in choice.sets] == ["a", "b"]


def test_a_set_without_labels_is_reported_and_decides_nothing():
    labelled, unlabelled = drawn(0, 0.8, -1.5), drawn(1, 0.01, -6.0)
    alone = calibration({"a": labelled})
    both = calibration({"a": labelled, "b": unlabelled}, {"b"})
    assert both.choose(0.5)[0] == alone.choose(0.5)[0]
    assert both.scores() == alone.scores()
    assert [each.judged for each in both.choose(0.5)[1].sets] == [True, False]


def test_scores_that_do_not_order_are_refused():
    with pytest.raises(UsageError, match="do not order"):
        calibration({"a": drawn(0, -0.8, 0.0)}).scores()


def test_answers_of_one_kind_are_refused():
    none = FrocAccumulator()
    none.update(Peaks(np.zeros((1, 2)), np.ones(1, np.float32)), centroids=np.empty((0, 2)))
    with pytest.raises(UsageError, match="one kind"):
        calibration({"a": none}).scores()


def test_a_rate_that_no_threshold_reaches_is_refused():
    sure = FrocAccumulator()
    sure.update(Peaks(np.zeros((1, 2)), np.full(1, 20.0, np.float32)), centroids=np.empty((0, 2)))
    with pytest.raises(UsageError, match="there are 1 left; give a higher --rate"):
        calibration({"a": sure}).choose(0.5)
