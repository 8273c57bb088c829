import pytest
import typer
from typer.testing import CliRunner

from dsad_core.cli import compile as compile_command
from dsad_core.engines import backends
from dsad_core.errors import DsadError


@pytest.fixture(scope="module")
def app():
    application = typer.Typer()
    compile_command.register(application)
    application.callback()(lambda: None)  # keeps the command named while it is the only one
    return application


def run(app, *arguments):
    return CliRunner().invoke(app, ["compile", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"not looked at")
    return tmp_path


def test_an_engine_is_run_once_at_each_size(app):
    result = run(app, "local-contrast", "--size", "96x64", "--size", "60x30", "--backend", "onnxruntime")
    assert result.exit_code == 0, result.output
    assert "local-contrast 96x64 on cpu: onnxruntime" in result.stdout
    assert "local-contrast 64x32 on cpu" in result.stdout and "ran, first time in" in result.stdout


def test_where_nothing_is_built_check_has_nothing_to_find(app):
    result = run(app, "local-contrast", "--check")
    assert result.exit_code == 0 and "nothing is built on this device" in result.stdout


class Builder:
    """A backend that builds files on a device, in the place of those that need one."""

    def requirements(self, options):
        return []

    def stale(self, folder, manifest, options, size):
        return None if size == (32, 32) else "not built yet"


def test_check_says_what_is_out_of_date(app, monkeypatch):
    monkeypatch.setattr(compile_command, "backend_module", lambda name: Builder())
    result = run(app, "local-contrast", "--size", "32x32", "--size", "64x32", "--check")
    assert result.exit_code == 1
    assert "32x32 on cpu: up to date" in result.stdout and "64x32 on cpu: not built yet" in result.stdout
    assert run(app, "local-contrast", "--size", "32x32", "--check").exit_code == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("nope",), "no engine 'nope'"),
        (("local-contrast", "--size", "64"), "size '64' is not WIDTHxHEIGHT"),
        (("local-contrast", "--target", "tpu"), "'tpu'"),
        (("local-contrast", "--precision", "fp16"), "local-contrast is an engine: --precision"),
        (("local-contrast", "--data", "x", "--name", "y"), "--data, --name go with weights"),
        (("local-contrast", "--out", "x"), "--out go with weights"),
        (("local-contrast", "--no-test", "--max-fa-rise", "2"), "--no-test, --max-fa-rise go with weights"),
    ],
)
def test_what_is_wrong_with_an_engine_is_named(app, arguments, words):
    result = run(app, *arguments)
    assert isinstance(result.exception, DsadError) and words in str(result.exception)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "need --data"),
        (("--check",), "--check compares an engine"),
        (("--data", "x", "--size", "64x64", "--size", "32x32"), "one --size"),
        (("--data", "x", "--precision", "fp8"), "precision 'fp8'"),
        (("--data", "x", "--target", "tpu"), "'tpu'"),
        (("--data", "x"), "training stage, which is not installed"),
    ],
)
def test_what_is_wrong_with_weights_is_named(app, weights, monkeypatch, arguments, words):
    monkeypatch.setattr(compile_command, "plugins", lambda kind: {})
    result = run(app, weights, *arguments)
    assert isinstance(result.exception, DsadError) and words in str(result.exception)


def test_a_target_without_its_device_is_refused(app):
    if backends.check_platform("ascend").usable:
        pytest.skip("this machine has an Ascend NPU")
    result = run(app, "local-contrast", "--target", "ascend")
    assert isinstance(result.exception, DsadError) and "Ascend NPU driver" in str(result.exception)
    assert "acl: atc --model=" in result.stdout and "512,640" in result.stdout
