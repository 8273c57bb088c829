import pytest

from dsad_bringup.arguments import ARGUMENTS as DETECTOR_ARGUMENTS
from dsad_core.errors import UsageError
from dsad_replay.arguments import ARGUMENTS, parse_replay_arguments, read_assignments


def test_defaults_are_typed_and_accepted():
    values = parse_replay_arguments({})
    assert list(values) == [argument.name for argument in ARGUMENTS]
    assert (values["target"], values["source"], values["loop"], values["limit"]) == (None, "none", False, 0)
    assert values["rate"] is None and values["bag"] is None


def test_what_the_detectors_launch_takes_is_taken_here_too():
    assert set(DETECTOR_ARGUMENTS) < set(ARGUMENTS)


def test_assignments_later_words_win_and_values_may_hold_the_separator():
    given = read_assignments(["rate:=5", "rate:=7.5", "path:=v4l2src ! caps:=x"])
    assert given == {"rate": "7.5", "path": "v4l2src ! caps:=x"}
    assert parse_replay_arguments(given)["rate"] == 7.5


@pytest.mark.parametrize("word", ["source", "source=bag", "--rate", "colour:=red"])
def test_a_word_that_is_no_argument_is_named(word):
    with pytest.raises(UsageError, match=word.partition(":=")[0]):
        read_assignments([word])
