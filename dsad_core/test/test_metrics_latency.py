"""Percentiles by nearest rank, bounded memory and rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_core.errors import UsageError
from dsad_core.metrics.latency import LatencyStats, RateMeter, percentiles

MS = 1_000_000


def test_percentiles_of_one_to_hundred():
    figures = percentiles([n * MS for n in range(1, 101)])
    assert (figures.p50, figures.p95, figures.p99, figures.max) == (50.0, 95.0, 99.0, 100.0)


def test_nothing_measured():
    assert percentiles([]) is None
    assert LatencyStats().result() is None
    assert LatencyStats().durations_ms().size == 0


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50))
def test_percentiles_are_measured_values_of_the_right_rank(durations):
    figures = percentiles(durations)
    for p, value in ((50, figures.p50), (95, figures.p95), (99, figures.p99), (100, figures.max)):
        assert value in [d / 1e6 for d in durations]
        at_most = sum(d / 1e6 <= value for d in durations)
        below = sum(d / 1e6 < value for d in durations)
        assert at_most * 100 >= p * len(durations) > below * 100


def test_memory_is_bounded_and_the_extremes_are_kept():
    stats = LatencyStats(limit=64)
    for n in range(10_000):
        stats.add(n * MS)
    stats.add(123_456 * MS)
    figures = stats.result()
    assert len(stats.durations_ms()) < 64
    assert (figures.frames, figures.max) == (10_001, 123_456.0)
    assert figures.p50 == pytest.approx(5000, rel=0.05)
    assert np.all(np.diff(stats.durations_ms()) > 0)


def test_a_negative_duration_is_refused():
    with pytest.raises(UsageError, match="-5 ns"):
        LatencyStats().add(-5)


def test_rate_and_a_clock_that_starts_over():
    meter = RateMeter()
    assert meter.rate() is None
    for stamp in (1000, 1010, 1020, 5, 15):
        meter.add(stamp * MS)
    assert meter.rate() == pytest.approx(100.0)
