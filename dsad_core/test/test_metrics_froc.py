import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.errors import UsageError
from dsad_core.metrics.froc import FrocAccumulator, Peaks, find_peaks


def peaks(*entries):
    """Entries of x, y, score."""
    entries = sorted(entries, key=lambda entry: -entry[2])
    return Peaks(
        np.array([entry[:2] for entry in entries], float).reshape(-1, 2),
        np.array([entry[2] for entry in entries], np.float32),
    )


def test_peaks_are_local_maxima_strongest_first_and_a_plateau_is_one():
    logits = np.full((40, 40), -15.0, np.float32)
    logits[10, 10], logits[11, 11] = 3.0, 2.0
    logits[30:32, 20:22] = 5.0
    logits[5, 30] = -14.0
    found = find_peaks(logits)
    assert found.scores.tolist() == [5.0, 3.0]
    assert found.places.tolist() == [[20.5, 30.5], [10, 10]]
    assert len(find_peaks(np.full((8, 8), -20.0, np.float32)).scores) == 0


def test_pd_and_threshold_at_a_rate():
    froc = FrocAccumulator()
    # 10 frames; each target is found at its own score, one frame has two false peaks.
    for number in range(10):
        froc.update(peaks((5, 5, number)), centroids=np.array([[6.0, 5.0]]))
    froc.update(peaks((5, 5, 4.5), (20, 20, 7.5)), centroids=np.empty((0, 2)))
    result = froc.result((0.01, 0.1, 1.0))
    assert (result.frames, result.targets) == (11, 10)
    # None of the 11 frames may alarm falsely: only scores above 7.5 remain.
    assert result.pd == {0.01: pytest.approx(0.2), 0.1: pytest.approx(0.5), 1.0: pytest.approx(1.0)}
    assert result.thresholds[0.01] == pytest.approx(1 / (1 + np.exp(-7.5)))
    assert result.auc == pytest.approx((2 * 10 - (5 + 8)) / 20)


def test_a_second_peak_on_a_target_counts_neither_way():
    froc = FrocAccumulator()
    froc.update(peaks((5, 5, 3.0), (7, 5, 2.0)), centroids=np.array([[6.0, 5.0]]))
    froc.update(peaks((12, 12, 1.0), (30, 30, 0.5)), boxes=np.array([[10, 10, 5, 5]]))
    assert froc.found.tolist() == [3.0, 1.0] and froc.false.tolist() == [0.5]


def test_a_peak_on_a_large_target_is_no_false_alarm():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:14, 10:40] = 255
    frame = peaks((11, 12, 3.0), (40, 14, 2.0), (42, 14, 1.0))
    froc = FrocAccumulator()
    froc.update(frame, centroids=np.array([[24.5, 11.5]]), mask=mask)
    assert froc.found.tolist() == [] and froc.false.tolist() == [1.0]
    assert froc.result().targets == 1


def test_scores_at_a_ceiling_are_told():
    froc = FrocAccumulator()
    froc.update(
        peaks(*[(10 * n, 10, 5.48) for n in range(8)], (90, 10, 2.0)), centroids=np.array([[10.0, 10.0]])
    )
    assert froc.result().ceiling == pytest.approx(8 / 9)
    # All peaks alike: a coin decides.
    tied = FrocAccumulator()
    tied.update(peaks((10, 10, 1.0), (50, 10, 1.0)), centroids=np.array([[10.0, 10.0]]))
    assert tied.result().auc == pytest.approx(0.5)


def test_needs_one_kind_of_truth():
    with pytest.raises(UsageError, match="centroids or boxes"):
        FrocAccumulator().update(peaks())


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.floats(-5, 5)), max_size=8), max_size=8
    )
)
def test_merging_gives_what_one_accumulator_gives(frames):
    truth = np.array([[30.0, 30.0], [5.0, 50.0]])
    whole, parts = FrocAccumulator(), [FrocAccumulator(), FrocAccumulator()]
    for number, frame in enumerate(frames):
        for each in (whole, parts[number % 2]):
            each.update(peaks(*frame), centroids=truth)
    parts[0].merge(parts[1])
    assert parts[0].result() == whole.result()
    rates, pd = whole.curve()
    assert (np.diff(rates) > 0).all() and (np.diff(pd) >= 0).all()
