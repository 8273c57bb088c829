import pytest

from dsad_detector.loss import LossCounter


def lost(numbers, publishers) -> list[int]:
    """What is counted for each message; ``publishers``: those the topic has when it arrives."""
    now = []
    counter = LossCounter(lambda: now)
    result = []
    for number, present in zip(numbers, publishers, strict=True):
        now[:] = present
        result.append(counter.lost_before(number))
    return result


@pytest.mark.parametrize(
    "numbers, publishers, expected",
    [
        pytest.param([1, 2, 3], ["a"] * 3, [0, 0, 0], id="no gap"),
        pytest.param([7, 8], ["a"] * 2, [0, 0], id="joined late"),
        pytest.param([1, 4, 5, 9], ["a"] * 4, [0, 2, 0, 3], id="gaps"),
        pytest.param([50, 1, 2, 5], ["a", "b", "b", "b"], [0, 0, 0, 2], id="publisher restarted"),
        pytest.param(
            [3, 60, 61, 63], ["a", "b", "b", "b"], [0, 0, 0, 1], id="publisher replaced, numbers ahead"
        ),
        pytest.param([10, 500, 11, 501], ["ab"] * 4, [0, 0, 0, 0], id="two publishers"),
        pytest.param(
            [10, 500, 11, 14, 17], ["ab", "ab", "ab", "a", "a"], [0, 0, 0, 0, 2], id="one of two left"
        ),
        pytest.param([10, 11, 500, 12, 15], ["a", "a", "ab", "ab", "a"], [0, 0, 0, 0, 0], id="a second came"),
        pytest.param([1, 2, 5, 8], ["", "", "a", "a"], [0, 0, 0, 2], id="publisher discovered late"),
        pytest.param([None, None, 4], ["a"] * 3, [0, 0, 0], id="middleware without numbers"),
    ],
)
def test_gaps_count_only_within_one_publisher(numbers, publishers, expected):
    assert lost(numbers, [list(present) for present in publishers]) == expected
