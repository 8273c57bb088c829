import pytest

from dsad_core.errors import UsageError
from dsad_detector.settings import PARAMETERS, TAKEN_AT_CONFIGURE, Settings

DEFAULTS = {parameter.name: parameter.default for parameter in PARAMETERS}


def test_zero_stands_for_the_default_of_target_file_manifest_and_frame():
    settings = Settings.from_parameters(DEFAULTS)
    assert (settings.threads, settings.threshold, settings.value_range) == (None, None, None)
    assert settings.frame_size is None and not settings.build_on_demand and settings.max_targets == 100


def test_given_values_are_taken():
    settings = Settings.from_parameters(
        DEFAULTS
        | {
            "engine": "some",
            "threads": 2,
            "threshold": 0.25,
            "value_range_low": -5.0,
            "value_range_high": 0.0,
            "frame_size": " 128X96 ",
        }
    )
    assert settings == Settings("some", "cpu", None, 2, 0.25, (-5.0, 0.0), 1, 100, (96, 128), False)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"threshold": 1.0}, ["threshold 1.0", "between 0 and 1"]),
        ({"value_range_low": 3.0}, ["value_range_low 3.0", "value_range_high 0.0", "below"]),
        ({"value_range_high": float("inf")}, ["value_range_high inf"]),
        ({"frame_size": "640"}, ["frame_size '640'", "640x512"]),
        ({"frame_size": "0x640"}, ["frame_size '0x640'"]),
        ({"frame_size": "99999x640"}, ["frame_size '99999x640'", "16384"]),
    ],
)
def test_a_bad_value_is_named_with_what_it_should_be(values, words):
    with pytest.raises(UsageError) as caught:
        Settings.from_parameters(DEFAULTS | values)
    message = str(caught.value)
    assert all(word in message for word in words) and "\n" not in message


def test_every_parameter_says_what_it_is_and_when_it_is_taken():
    for parameter in PARAMETERS:
        assert len(parameter.description) > 20
        assert (parameter.name in TAKEN_AT_CONFIGURE) == parameter.description.endswith("Taken at configure.")
