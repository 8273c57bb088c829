import pytest
import typer
import yaml
from typer.testing import CliRunner

from dsad_core.errors import DsadError
from dsad_training.cli import register


@pytest.fixture
def run():
    app = typer.Typer()
    register(app)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_train_from_the_command_line(run, tiny_recipe, tiny_data, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny_recipe))
    out = tmp_path / "run"
    start = ("train", recipe, "--data", tiny_data, "--out", out)
    first = run(*start, "--minutes", 0, "--set", "network.width=3")
    assert first.exit_code == 0 and "resume with" in first.output
    assert run("train", "--resume", "--data", tiny_data, "--out", out).exit_code == 0
    assert (out / "weights.safetensors").is_file()


def test_neither_or_both_of_recipe_and_resume_is_refused(run, tiny_data, tmp_path):
    for arguments in ([], ["some.yaml", "--resume"]):
        result = run("train", *arguments, "--data", tiny_data, "--out", tmp_path)
        assert isinstance(result.exception, DsadError) and "--resume" in str(result.exception)


def test_profile_prints_what_it_measured(run):
    result = run(
        "profile", "--network", "amfunet", "--width", 4, "--height", 32, "--image-width", 32, "--runs", 1
    )
    assert result.exit_code == 0
    assert "119,877" in result.output and "122,229" in result.output


def test_profile_names_an_unknown_network(run):
    result = run("profile", "--network", "unet", "--runs", 1)
    assert isinstance(result.exception, DsadError) and "name" in str(result.exception)


def test_profile_refuses_a_size_the_networks_cannot_take(run):
    result = run("profile", "--height", 40)
    assert isinstance(result.exception, DsadError) and "256x40" in str(result.exception)
