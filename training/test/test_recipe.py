import pytest
import yaml

from dsad_core.errors import UsageError
from dsad_training.recipe import build_recipe, load_recipe


def test_overrides_reach_into_lists(tiny_recipe):
    recipe = build_recipe(tiny_recipe, ["phases.1.steps=7", "data.augmentation.noise=0.1", "network.width=3"])
    assert recipe.phases[1].steps == 7
    assert recipe.data.augmentation.noise == 0.1
    assert recipe.network.width == 3
    assert recipe.steps == 11
    assert recipe.pixels(3) == 3 * 4 * 32**2
    assert recipe.pixels(11) == 4 * 4 * 32**2 + 7 * 2 * 64**2
    assert recipe.phase_at(3) == (0, 3) and recipe.phase_at(4) == (1, 0)


@pytest.mark.parametrize(
    "override, named",
    [
        ("network.width=0", "network.width"),
        ("network.colour=red", "network.colour"),
        ("phases.0.crop=50", "phases.0.crop"),
        ("ema=1.5", "ema"),
        ("phases.9.steps=1", "phases.9.steps"),
        ("seed", "'seed'"),
        ("phases=[", "phases"),
        ("data.augmentation.blurr=1", "data.augmentation.blurr"),
    ],
)
def test_a_bad_value_is_named(tiny_recipe, override, named):
    with pytest.raises(UsageError, match=named) as caught:
        build_recipe(tiny_recipe, [override])
    assert "\n" not in str(caught.value)


def test_validation_images_cannot_become_unseen_again(tiny_recipe):
    first, second = tiny_recipe["phases"]
    with pytest.raises(UsageError, match="phases"):
        build_recipe({**tiny_recipe, "phases": [second, first]})


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(UsageError, match="cannot read recipe"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UsageError, match="not a mapping"):
        load_recipe(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_recipe(tmp_path / "broken.yaml")


def test_a_recipe_goes_over_its_base(tiny_recipe, tmp_path):
    (tmp_path / "bases").mkdir()
    first, second = tmp_path / "bases" / "first.yaml", tmp_path / "bases" / "second.yaml"
    first.write_text(yaml.safe_dump({**tiny_recipe, "name": "first"}))
    second.write_text("base: first.yaml\ndata: {std: 0.5, augmentation: {noise: 0.1}}\n")
    phases = "[{steps: 1, batch: 2, crop: 16, lr: 0.1}]"
    (tmp_path / "top.yaml").write_text(f"base: bases/second.yaml\ndata: {{std: 0.6}}\nphases: {phases}\n")
    recipe = load_recipe(tmp_path / "top.yaml", ["data.std=0.7"])
    assert (recipe.data.std, recipe.data.augmentation.noise, recipe.data.validation) == (0.7, 0.1, 2)
    assert recipe.name == "top" and recipe.steps == 1
    first.write_text("base: second.yaml\n")
    with pytest.raises(UsageError, match=r"second.yaml is a base of itself"):
        load_recipe(tmp_path / "bases" / "second.yaml")
    first.write_text("base: none.yaml\n")
    with pytest.raises(UsageError, match=r"cannot read recipe .*none.yaml"):
        load_recipe(first)
