"""Every recipe that ships is valid."""

from pathlib import Path

import pytest

from dsad_training.recipe import load_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_loads(path):
    assert load_recipe(path).name == path.stem
