"""Stamps and integers map onto each other without loss."""

from hypothesis import given
from hypothesis import strategies as st

from dsad_common.stamps import stamp_ns, to_stamp


@given(st.integers(min_value=0, max_value=2**31 * 10**9 - 1))
def test_round_trip(nanoseconds):
    assert stamp_ns(to_stamp(nanoseconds)) == nanoseconds
