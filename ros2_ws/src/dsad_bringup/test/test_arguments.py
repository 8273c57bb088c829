import math

import pytest
from dsad_core.errors import UsageError
from hypothesis import given
from hypothesis import strategies as st

from dsad_bringup.arguments import ARGUMENTS, parse_arguments, read_assignments

NAMES = [argument.name for argument in ARGUMENTS]


def test_defaults_are_typed_and_accepted():
    values = parse_arguments({})
    assert list(values) == NAMES
    assert (values["target"], values["source"], values["loop"], values["limit"]) == ("cpu", "none", False, 0)
    assert values["rate"] is None and values["bag"] is None


def test_assignments_later_words_win_and_values_may_hold_the_separator():
    given = read_assignments(["rate:=5", "rate:=7.5", "path:=v4l2src ! caps:=x"])
    assert given == {"rate": "7.5", "path": "v4l2src ! caps:=x"}
    assert parse_arguments(given)["rate"] == 7.5


@pytest.mark.parametrize("word", ["source", "source=bag", "--rate", "colour:=red"])
def test_a_word_that_is_no_argument_is_named(word):
    with pytest.raises(UsageError, match=word.partition(":=")[0]):
        read_assignments([word])


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("target", "tpu", "cpu, cuda, agx, ascend"),
        ("source", "", "needs a value"),
        ("loop", "maybe", "true, false"),
        ("limit", "2.5", "whole number"),
        ("limit", "-1", "below"),
        ("rate", "fast", "not a number"),
        ("rate", "nan", "below"),
        ("rate", "inf", "finite"),
        ("log_level", "loud", "debug"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_it(name, text, complaint):
    with pytest.raises(UsageError, match=complaint) as caught:
        parse_arguments({name: text})
    assert f"{name}:={text}" in str(caught.value) and "\n" not in str(caught.value)


@given(st.sampled_from(NAMES), st.text(max_size=12))
def test_any_text_is_taken_or_refused_by_name(name, text):
    try:
        value = parse_arguments({name: text})[name]
    except UsageError as error:
        assert name in str(error)
    else:
        assert value is None or not isinstance(value, float) or math.isfinite(value)
