"""``dsad table`` and ``dsad recipe``."""

import json

import pytest
import typer
import yaml
from table_rows import PAPER, ROWS
from typer.testing import CliRunner

from dsad_core.errors import DsadError
from dsad_training.recipe import build_recipe
from dsad_training.tables.cli import register


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The commands, on a machine that has no engine but those in ``tmp_path/engines``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dsad_core.engines.locate.engine_roots", lambda: [tmp_path / "engines"])
    app = typer.Typer()
    register(app)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("number", range(1, 7))
def test_without_ours_every_row_says_not_run(run, number):
    result = run("table", number)
    rows = PAPER.tables[number].rows.values()
    assert result.exit_code == 0
    assert result.output.count("not run") == sum(len(row.scores) for row in rows)
    for row in rows:
        for scores in row.scores.values():
            assert all(str(value) in result.output for value in (scores.iou, scores.pd, scores.fa))


def test_ours_is_printed_with_what_it_was_reached_by(run, engine):
    engine("table1/dsad", seed=1, iou=0.8123)
    engine("table1/dsad", "nuaa", seed=7, iou=0.7)
    output = run("table", 1).output
    assert output.count("not run") == 22
    lines = output.splitlines()
    (line,) = (line for line in lines if "ours [1] [2]" in line)
    assert len(line) <= 80
    assert line.split() == "ours [1] [2] 0.30 0.97 81.23 95.00 1.25 70.00 95.00 1.25".split()
    (note,) = (line for line in lines if line.startswith("[1]"))
    for part in ("table1-dsad-nudt-best", "5,000 images seen", "seed 1", PAPER.data_sets["nudt"].test):
        assert part in note


def test_a_run_that_went_on_from_another_says_so(run, engine):
    folder = engine("table1/dsad")
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    manifest["provenance"]["recipe_content"]["start"] = "runs/before"
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    assert "started from runs/before, whose images are not counted" in run("table", 1).output


def test_json_holds_the_same(run, engine):
    engine("table1/dsad", iou=0.8123)
    content = json.loads(run("table", 1, "--json").output)
    (row,) = (row for row in content["rows"] if row["row"] == "dsad")
    assert row["paper"]["NUDT-SIRST"] == {"iou": 84.79, "pd": 98.1, "fa": 0.882}
    (outcome,) = row["ours"]["NUDT-SIRST"]
    assert outcome["iou"] == {"mean": pytest.approx(81.23), "deviation": None}
    assert outcome["seeds"] == [1] and outcome["parameters"] == 298_664
    assert row["ours"]["NUAA-SIRST"] == []


def test_table_7_is_the_papers_until_ours_is_measured(run):
    result = run("table", 7)
    assert result.output.count("not run") == 1 and "17.24" in result.output
    content = json.loads(run("table", 7, "--json").output)
    assert len(content["rows"]) == 6 and content["ours"] == []


@pytest.fixture
def bench(tmp_path):
    """What ``dsad bench engine --networks --out`` writes, of three pairs one of which the paper has."""
    entry = {
        "teacher": "dnanet-num16",
        "student": "dnanet-num4",
        "network": "dnanet",
        "widths": [16, 4],
        "width": 256,
        "height": 256,
        "threads": 2,
        "contender": "direct",
        "milliseconds": [90.5, 30.25],
        "speedup": 3.01,
    }
    others = [entry | {"width": 640, "height": 512}, entry | {"widths": [8, 4]}]
    path = tmp_path / "bench.json"
    machine = {"cpu": "A CPU", "accelerator": ""}
    path.write_text(json.dumps({"machine": machine, "speedups": [entry, *others]}))
    return path


def test_table_7_sets_ours_beside_the_papers(run, bench):
    shown = run("table", 7, "--bench", bench).output
    (line,) = (line for line in shown.splitlines() if "direct, 2 threads" in line)
    assert line.split()[-6:] == ["DNA-num16", "DNA-num4", "90.50", "30.25", "60.25", "3.01x"]
    assert "ours, A CPU" in shown and "not run" not in shown and "17.24" in shown
    (ours,) = json.loads(run("table", 7, "--bench", bench, "--json").output)["ours"]
    assert ours["pair"] == ["DNA-num16", "DNA-num4"] and ours["speedup"] == 3.01


@pytest.mark.parametrize(
    "content, named",
    [
        (None, "cannot be read"),
        ("{", "not what dsad bench engine"),
        ("[]", "not what dsad bench engine"),
        ('{"speedups": [], "machine": {"cpu": "A CPU", "accelerator": ""}}', "no teacher with its student"),
    ],
)
def test_a_foreign_bench_file_is_named_in_one_line(run, tmp_path, content, named):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    error = run("table", 7, "--bench", path).exception
    assert isinstance(error, DsadError) and named in str(error) and str(path) in str(error)


@pytest.mark.parametrize(
    "arguments, named",
    [
        (("table", 8), "table 8"),
        (("table", 1, "--runs", "nowhere"), "nowhere"),
        (("table", 1, "--bench", "bench.json"), "not with table 1"),
    ],
)
def test_bad_arguments_are_named_in_one_line(run, arguments, named):
    error = run(*arguments).exception
    assert isinstance(error, DsadError) and named in str(error) and "\n" not in str(error)


def test_recipe_command_writes_what_train_reads(run, tmp_path):
    listed = run("recipe").output
    assert all(name in listed for name in ROWS)
    arguments = ("recipe", "table2/mgd", "--teacher", "runs/t", "--epochs", 20)
    content = yaml.safe_load(run(*arguments).output)
    recipe = build_recipe(content)
    assert recipe.name == "table2-mgd-nudt-best" and recipe.distillation.teacher == "runs/t"
    assert run(*arguments, "--out", tmp_path / "mgd.yaml").exit_code == 0
    assert yaml.safe_load((tmp_path / "mgd.yaml").read_text()) == content
