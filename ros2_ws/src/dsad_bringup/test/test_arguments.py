import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsad_bringup.arguments import ARGUMENTS, Argument, parse_arguments
from dsad_core.errors import UsageError

NAMES = [argument.name for argument in ARGUMENTS]


def test_defaults_are_typed_and_accepted():
    values = parse_arguments({})
    assert list(values) == NAMES
    assert (values["build_only"], values["namespace"]) == (False, "irst")
    assert values["target"] is None and values["autostart"] is None
    assert values["threshold"] is None and values["engine"] is None


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("target", "tpu", "cpu, cuda, agx, ascend"),
        ("log_level", "", "needs a value"),
        ("autostart", "maybe", "true, false"),
        ("threshold", "high", "not a number"),
        ("threshold", "inf", "finite"),
        ("log_level", "loud", "debug"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_it(name, text, complaint):
    with pytest.raises(UsageError, match=complaint) as caught:
        parse_arguments({name: text})
    assert f"{name}:={text}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [(int, "2.5", "whole number"), (int, "-1", "below"), (float, "nan", "below"), (float, "-0.1", "below")],
)
def test_a_number_below_its_least_value_is_refused(kind, text, complaint):
    with pytest.raises(UsageError, match=complaint):
        Argument("limit", "0", "", kind, minimum=0).parse(text)


@given(st.sampled_from(NAMES), st.text(max_size=12))
def test_any_text_is_taken_or_refused_by_name(name, text):
    try:
        value = parse_arguments({name: text})[name]
    except UsageError as error:
        assert name in str(error)
    else:
        assert value is None or not isinstance(value, float) or math.isfinite(value)
