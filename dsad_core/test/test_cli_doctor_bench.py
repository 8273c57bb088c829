import json

import pytest
import typer
from typer.testing import CliRunner

from dsad_core.cli import bench, doctor
from dsad_core.engines.manifest import MODEL_FILE
from dsad_core.errors import DsadError


@pytest.fixture(scope="module")
def app():
    application = typer.Typer()
    doctor.register(application)
    bench.register(application)
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
    assert targets["cpu"]["runs"] is True and len(targets) == 4
    assert any(engine["name"] == "local-contrast" and engine["ok"] for engine in report["engines"])


def test_doctor_reports_a_tampered_engine(app, engine_dir, monkeypatch):
    with (engine_dir / MODEL_FILE).open("ab") as model:
        model.write(b"\0")
    monkeypatch.setenv("DSAD_ENGINES", str(engine_dir.parent))
    report = json.loads(run(app, "doctor", "--json").stdout)
    (entry,) = [engine for engine in report["engines"] if engine["name"] == "local-contrast"]
    assert not entry["ok"] and "SHA-256" in entry["detail"]
    assert "refused" in run(app, "doctor").stdout


def test_bench_engine_measures_every_setting(app, tmp_path):
    path = tmp_path / "bench.json"
    result = run(app, "bench", "engine", "local-contrast", "--size", "96x64", "--size", "64x64",
                 "--threads", "1", "--runs", "4", "--json", str(path))
    assert result.exit_code == 0, result.output
    assert "96x64" in result.stdout and "postprocess" in result.stdout
    report = json.loads(path.read_text())
    assert report["engine"] == "local-contrast" and report["machine"]["cpu"]
    assert [(case["width"], case["height"], case["threads"]) for case in report["results"]] == \
        [(96, 64, 1), (64, 64, 1)]
    for case in report["results"]:
        figures = case["milliseconds"]["total"]
        assert figures["frames"] == 4 and 0 < figures["p50"] <= figures["p99"] <= figures["max"]


@pytest.mark.parametrize("arguments, words", [
    (("local-contrast", "--size", "64"), "size '64'"),
    (("local-contrast", "--target", "tpu"), "'tpu'"),
    (("nope",), "no engine 'nope'"),
])
def test_bench_names_what_is_wrong(app, arguments, words):
    result = run(app, "bench", "engine", *arguments)
    assert isinstance(result.exception, DsadError) and words in str(result.exception)
