"""Every recipe that ships is valid and, its bases joined in, what it was when its engine was trained."""

from pathlib import Path

import pytest
import yaml

from dsad_training.recipe import load_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
RECORDED = yaml.safe_load((Path(__file__).parent / "recipes.yaml").read_text())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_what_is_recorded(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.model_dump(mode="json", exclude={"name"}, exclude_defaults=True) == RECORDED[path.stem]


def test_every_recorded_recipe_ships():
    assert RECORDED.keys() == {path.stem for path in RECIPES}
