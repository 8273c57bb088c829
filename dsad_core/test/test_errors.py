"""Errors of libraries in one line."""

import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dsad_core.errors import DsadError, one_line, unexpected


class Camera(BaseModel):
    width: int
    height: int


def caught(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_an_error_of_the_system_is_its_reason_alone(tmp_path):
    assert one_line(caught((tmp_path / "nothing").read_bytes)) == "No such file or directory"


def test_of_many_faults_the_first_is_named_and_the_others_are_counted():
    error = caught(lambda: Camera.model_validate({"width": "wide"}))
    assert isinstance(error, ValidationError) and "\n" in str(error)
    assert one_line(error).startswith("width: ") and one_line(error).endswith("(and 1 more)")


def test_line_breaks_become_spaces():
    error = caught(lambda: yaml.safe_load("a: [1,\nb: 2"))
    assert (
        "\n" in str(error) and "\n" not in one_line(error) and one_line(error) == " ".join(str(error).split())
    )


def test_an_error_without_words_is_its_type():
    assert one_line(MemoryError()) == "MemoryError"
    assert unexpected(KeyError("a")) == "KeyError: 'a'"


@given(st.text(st.characters()))
def test_a_message_is_one_line_that_can_be_printed(name):
    """Names come from hostile files: a line break makes a second line, an escape rules the terminal."""
    assert str(DsadError(f"flight.db3: no topic {name}")).isprintable()


def test_what_can_be_printed_stays():
    assert str(DsadError("Küste_12 … 北: no frame")) == "Küste_12 … 北: no frame"
    assert str(DsadError("a\nb\x1b[31m\ud800")) == "a\\nb\\x1b[31m\\ud800"
