import cv2
import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from dsad_core.errors import DsadError
from dsad_training.checkpoint import WEIGHTS_FILE, load_weights
from dsad_training.cli import register
from dsad_training.curves import read_curve
from dsad_training.recipe import build_recipe
from dsad_training.train import train


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


def test_kept_weights_are_half_as_large_and_all_but_the_same(run, tiny_recipe, tiny_data, tmp_path):
    train(build_recipe(tiny_recipe), [tiny_data], tmp_path / "run", minutes=0)
    result = run("keep", tmp_path / "run", "--out", tmp_path / "kept")
    assert result.exit_code == 0 and "MB" in result.output
    sizes = [(tmp_path / name / WEIGHTS_FILE).stat().st_size for name in ("run", "kept")]
    assert sizes[1] < 0.7 * sizes[0]  # at width 2 much of it is the header
    (network, recipe, facts), (kept, *same) = (load_weights(tmp_path / name) for name in ("run", "kept"))
    assert same == [recipe, facts]
    for name, tensor in network.state_dict().items():
        other = kept.state_dict()[name]
        assert other.dtype == tensor.dtype
        torch.testing.assert_close(other, tensor, rtol=1e-3, atol=1e-6)
    again = run("keep", tmp_path / "run", "--out", tmp_path / "kept")
    assert isinstance(again.exception, DsadError) and "already holds" in str(again.exception)


def test_curves_of_a_run_on_its_way_and_of_one_that_is_done(run, tiny_recipe, tiny_data, tmp_path):
    for name, minutes in (("done", None), ("begun", 0)):
        train(
            build_recipe({**tiny_recipe, "validate_every": 2}), [tiny_data], tmp_path / name, minutes=minutes
        )
    done, begun = tmp_path / "done", tmp_path / "begun"
    missing = run("curves", done, begun, "--out", tmp_path / "curves.png")
    assert isinstance(missing.exception, DsadError) and "begun/log.jsonl" in str(missing.exception)
    assert run("curves", done, "--out", tmp_path / "curves.png").exit_code == 0
    assert cv2.imread(str(tmp_path / "curves.png")).std() > 0
    curve = read_curve(done)
    # Four steps of 4 crops of 32x32, two of 2 of 64x64, which train on the validation part too.
    phases = [4 * 4 * 32 * 32 / 65536, (4 * 4 * 32 * 32 + 2 * 2 * 64 * 64) / 65536]
    assert [seen for seen, _ in curve.loss] == phases and curve.phases == phases[:1]
    assert [seen for seen, _ in curve.iou] == [phases[0] / 2, phases[0]]


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
