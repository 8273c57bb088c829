"""The moments of a frame and the stages between them."""

import pytest

from dsad_core.errors import UsageError
from dsad_core.frame.timing import STAGES, FrameTimes


def test_each_stage_lies_between_two_moments():
    assert FrameTimes(10, 11, 13, 16, 20, 25, 31).durations() == dict(zip(STAGES, range(1, 7)))


def test_moments_of_two_clocks_are_refused():
    with pytest.raises(UsageError, match="stage decode ends 4 ns before it begins"):
        FrameTimes(10, 14, 10, 16, 20, 25, 31)
