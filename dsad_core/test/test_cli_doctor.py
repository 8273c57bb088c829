import json

import pytest
import typer
from typer.testing import CliRunner

from dsad_core.cli import doctor
from dsad_core.engines.manifest import MODEL_FILE
from dsad_core.engines.platform import load_platform


@pytest.fixture(scope="module")
def app():
    application = typer.Typer()
    doctor.register(application)
    application.callback()(lambda: None)  # keeps the command named while it is the only one
    return application


def run(app, *arguments):
    return CliRunner().invoke(app, arguments, catch_exceptions=True, env={"COLUMNS": "160"})


def test_doctor_says_what_runs_and_what_is_missing(app):
    result = run(app, "doctor")
    assert result.exit_code == 0
    for word in ("cpu", "cuda", "agx", "ascend", "onnxruntime", "local-contrast", "agrees"):
        assert word in result.stdout


def test_doctor_in_json(app):
    report = json.loads(run(app, "doctor", "--json").stdout)
    targets = {entry["target"]: entry for entry in report["targets"]}
    assert targets["cpu"]["runs"] == load_platform("cpu").backends[0] and len(targets) == 4
    assert any(engine["name"] == "local-contrast" and engine["ok"] for engine in report["engines"])


def test_doctor_reports_a_tampered_engine(app, engine_dir, monkeypatch):
    with (engine_dir / MODEL_FILE).open("ab") as model:
        model.write(b"\0")
    monkeypatch.setenv("DSAD_ENGINES", str(engine_dir.parent))
    report = json.loads(run(app, "doctor", "--json").stdout)
    (entry,) = [engine for engine in report["engines"] if engine["name"] == "local-contrast"]
    assert not entry["ok"] and "SHA-256" in entry["detail"]
    assert "refused" in run(app, "doctor").stdout
