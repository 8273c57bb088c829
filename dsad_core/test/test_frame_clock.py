"""Steps between frames from stamps of every kind."""

import pytest

from dsad_core.frame.clock import FrameClock

MS = 1_000_000


def steps(*times):
    clock = FrameClock()
    ticks = [clock.tick(stamp, received) for stamp, received in times]
    return [round(tick.seconds, 6) for tick in ticks], [tick.jumped for tick in ticks], clock.jumps


def test_stamps_give_the_steps():
    assert steps((5 * MS, 0), (45 * MS, 900 * MS), (85 * MS, 901 * MS))[0] == [0, 0.04, 0.04]


def test_a_frame_that_comes_twice_takes_no_time():
    assert steps((5 * MS, 0), (45 * MS, 40 * MS), (45 * MS, 300 * MS), (85 * MS, 340 * MS))[0] == [
        0,
        0.04,
        0,
        0.04,
    ]


def test_without_stamps_the_receipt_counts():
    assert steps((0, 10 * MS), (0, 50 * MS), (0, 80 * MS))[0] == [0, 0.04, 0.03]
    assert steps((0, None), (0, None))[0] == [0, 0]


def test_stamps_that_stand_still_for_long_give_way():
    found, _, _ = steps(*((7 * MS, index * 500 * MS) for index in range(6)))
    assert found == [0, 0, 0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("second", [1 * MS, 9_000 * MS])
def test_jumps_are_no_steps(second):
    assert steps((1_000 * MS, None), (second, None))[1:] == ([False, True], 1)
