"""The assignment against trying every permutation."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsad_core.tracking.assignment import assign


def best_by_trying(gain):
    """The largest total gain of any one-to-one pairing, and its value."""
    rows, columns = gain.shape
    best = 0.0
    for size in range(1, min(rows, columns) + 1):
        for chosen in combinations(range(rows), size):
            for order in permutations(range(columns), size):
                best = max(best, sum(gain[i, j] for i, j in zip(chosen, order)))
    return best


@given(st.integers(0, 4), st.integers(0, 5), st.data())
@settings(max_examples=150, deadline=None)
def test_finds_the_best_pairing(rows, columns, data):
    values = st.one_of(st.floats(0, 20), st.just(float("inf")))
    cost = np.array([[data.draw(values) for _ in range(columns)] for _ in range(rows)]).reshape(rows, columns)
    pairs = assign(cost, 10.0)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    gain = 10.0 - cost
    assert sum(gain[i, j] for i, j in pairs) == pytest.approx(best_by_trying(gain))


def test_a_large_cluster_is_solved():
    rng = np.random.default_rng(0)
    order = rng.permutation(40)
    cost = rng.uniform(5, 9, (40, 40))
    cost[np.arange(40), order] = 1.0
    assert assign(cost, 10.0) == [(i, int(j)) for i, j in enumerate(order)]
