"""Recipes of cameras: every one is whole, and the launch takes one by its name."""

from pathlib import Path

import pytest

from dsad_bringup.camera_recipe import read_recipe
from dsad_bringup.graph import build_graph
from dsad_core.errors import UsageError

PACKAGE = Path(__file__).parents[1]
RECIPES = PACKAGE / "launch" / "cameras"
NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))


@pytest.fixture
def share(tmp_path):
    """A share folder as it is installed."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "cameras").symlink_to(RECIPES)
    return tmp_path


def detector(share, **given):
    return build_graph({"engine": "local-contrast", **given}, share).nodes[-1]


def test_the_recipes_are_those_that_the_readme_names():
    assert sorted(["boson", "lepton", "seek", "optris", "spinnaker_a70", "rtsp"]) == NAMES
    row = next(
        line for line in (PACKAGE / "README.md").read_text().splitlines() if line.startswith("| `camera`")
    )
    assert all(name in row for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_sets_topics_and_parameters_that_the_detector_has(name, share):
    settings = pytest.importorskip("dsad_detector.settings", reason="the detector is not built")
    tracks = pytest.importorskip("dsad_detector.track_settings")
    declared = {parameter.name: parameter for parameter in (*settings.PARAMETERS, *tracks.TRACK_PARAMETERS)}
    recipe = read_recipe(name, RECIPES)
    node = detector(share, camera=name)
    assert dict(node.remappings)["image_raw"] == recipe.image_topic
    for parameter, value in recipe.detector.items():
        assert node.parameters[parameter] == value
        assert type(value) is type(declared[parameter].default) and declared[parameter].refusal(value) is None


def test_arguments_and_a_file_of_the_user_win_over_the_recipe(share, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("/**/detector:\n  ros__parameters: {crop_top: 0}\n")
    node = detector(share, camera="boson", image_topic="/mine", params_file=str(mine))
    assert dict(node.remappings) == {"image_raw": "/mine", "camera_info": "/camera/camera_info"}
    # The file sets it: what the launch sets would win over the file.
    assert "crop_top" not in node.parameters


def test_without_a_recipe_nothing_changes(share):
    node = detector(share)
    assert node.remappings == () and "crop_top" not in node.parameters


def test_a_recipe_of_ones_own(share, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text((RECIPES / "boson.yaml").read_text().replace("crop_top: 2", "crop_top: 4"))
    assert detector(share, camera=str(mine)).parameters["crop_top"] == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such recipe; there are boson"),
        ("nothing", "is no recipe"),
        ("camera: x\nwhat: 1\n", "unexpected keyword argument 'what'"),
        ("{", "is no recipe"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(share, tmp_path, text, said):
    path = tmp_path / "other.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=said) as refused:
        detector(share, camera=str(path))
    assert "\n" not in str(refused.value)
