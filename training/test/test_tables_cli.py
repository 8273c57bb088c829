"""``dsad table``: the paper's rows beside the lines of a CSV and the bench."""

import json
from dataclasses import asdict

import pandas as pd
import pytest
import typer
from table_rows import PAPER
from typer.testing import CliRunner

from dsad_core.errors import DsadError
from dsad_training.experiments.cli import register as register_experiments
from dsad_training.results import RESULTS, Line, append, read, weights_table
from dsad_training.tables.cli import register
from dsad_training.tables.compare import compare, outcomes


@pytest.fixture
def run():
    app = typer.Typer()
    app.callback()(lambda: None)  # an app of one command would not take its name
    register(app)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def line(method="alone", seed=0, iou=0.7, **changes):
    """A run of DNANet num4 on NUDT-SIRST."""
    base = Line(
        run=f"{method}-{seed}",
        kind="row",
        network="dnanet",
        width=4,
        spatial="cbam",
        data_set="nudt",
        method=method,
        map="dsa" if method == "dsad" else "",
        seed=seed,
        weight=0.0 if method == "alone" else 0.5,
        gradient_ratio=None,
        images=1000,
        minutes=1.0 if method == "alone" else 3.0,
        split="test",
        iou=iou,
        niou=iou,
        pd=0.95,
        fa=1.25e-5,
        hits=900,
        targets=945,
        grid=256,
        threshold=0.5,
        split_hash=PAPER.data_sets["nudt"].test,
        device="cpu",
        commit="abc",
    )
    return Line(**{**asdict(base), **changes})


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "results.csv"
    return lambda *lines: append(path, list(lines)) or path


@pytest.mark.parametrize("number", range(1, 7))
def test_without_ours_every_row_says_not_run(run, results, number):
    result = run("table", number, "--results", results(line(kind="earlier")))
    rows = PAPER.tables[number].rows.values()
    assert result.exit_code == 0
    assert result.output.count("not run") == sum(len(row.scores) for row in rows)
    for row in rows:
        for scores in row.scores.values():
            assert all(str(value) in result.output for value in (scores.iou, scores.pd, scores.fa))


def test_seeds_are_averaged_and_stand_in_their_row(run, results):
    path = results(line("dsad", 0, 0.80), line("dsad", 1, 0.82), line("dsad", 0, 0.5, split="validation"))
    output = run("table", 1, "--results", path).output
    assert output.count("not run") == 23
    (shown,) = (text for text in output.splitlines() if "84.79" in text)
    assert shown.split() == [
        "DSAD",
        "84.79",
        "98.10",
        "0.882",
        "81.00",
        "±1.41",
        "95.00",
        "±0.00",
        "1.25",
        "±0.00",
        "0.5",
        "2",
        "1,000",
        "3.0",
    ]


def test_markdown_holds_the_same(run, results):
    path = results(line("dsad", 0, 0.80), line("dsad", 1, 0.82))
    output = run("table", 1, "--results", path, "--markdown").output
    (shown,) = (text for text in output.splitlines() if "84.79" in text)
    assert shown == (
        "| DSAD | 84.79, 98.10, 0.882 | 81.00 ±1.41 | 95.00 ±0.00 | 1.25 ±0.00 | 0.5 | 2 | 1,000 | 3.0 |  |  |"
    )
    tables = [text for text in output.splitlines() if text.startswith("|")]
    assert len(tables) == 2 * (2 + 12) and {text.count("|") for text in tables} == {12}
    assert output.count("not run") == 23
    refused = run("table", 1, "--results", path, "--markdown", "--json")
    assert isinstance(refused.exception, DsadError) and "--json" in str(refused.exception)


def test_alone_is_met_after_as_many_images_and_after_as_many_minutes(results):
    longer = {"kind": "longer", "images": 3000, "minutes": 2.9}
    path = results(
        *(line("dsad", seed, 0.80 + 0.01 * seed) for seed in (0, 1)),
        *(line("alone", seed, 0.70 + 0.01 * seed) for seed in (0, 1)),
        *(line("alone", seed, 0.79 + 0.01 * seed, **longer) for seed in (0, 1)),
        line("kd", 0, 0.75),
    )
    cells = {}
    for cell in compare(1, read(path), PAPER):
        if cell.ours is not None:
            cells.setdefault(cell.row, []).append(cell)
    (dsad,), (kd,) = cells["dsad"], cells["kd"]
    assert [cell.ours["images"] for cell in cells["dna-num4"]] == [1000, 3000]
    assert dsad.equal_images == "+10.00, 14.1 sd" and dsad.equal_minutes == "+1.00, overlap"
    assert kd.equal_images == "+4.50, one seed" and cells["dna-num4"][0].equal_images == ""


def test_other_images_weights_and_splits_are_never_averaged(results):
    path = results(
        line("kd", 0, 0.7),
        line("kd", 1, 0.8, weight=2.0),
        line("kd", 2, 0.8, images=2000),
        line("kd", 3, 0.9, split_hash="0" * 12),
        line("kd", 0, 0.75),
    )
    found = outcomes(read(path), PAPER)
    assert sorted(found["iou"]) == pytest.approx([75, 80, 80]) and (found["seeds"] == 1).all()


def test_the_sweep_is_printed_with_how_hard_each_weight_pulls(results):
    swept = {"kind": "sweep", "split": "validation"}
    path = results(
        *(
            line("kd", 0, iou, weight=weight, gradient_ratio=weight / 4, **swept)
            for weight, iou in ((2.0, 0.6), (0.5, 0.7))
        ),
        line("kd", 0, 0.9, weight=8.0),
    )
    found = weights_table(read(path))
    assert found[["weight", "ratio", "chosen"]].values.tolist() == [[0.5, 0.125, True], [2.0, 0.5, False]]
    assert found["iou"].tolist() == pytest.approx([70, 60])
    app = typer.Typer()
    register_experiments(app)
    output = CliRunner().invoke(app, ["experiments", "weights", str(path)]).output
    assert "0.125" in output and output.count("*") == 2


def test_json_holds_the_same(run, results):
    path = results(line("dsad", 0, 0.8123))
    content = json.loads(run("table", 1, "--results", path, "--json").output)
    (row,) = (cell for cell in content if cell["row"] == "dsad" and cell["data_set"] == "nudt")
    assert row["paper"] == {"iou": 84.79, "pd": 98.1, "fa": 0.882}
    assert row["ours"]["iou"] == pytest.approx(81.23) and row["ours"]["iou_sd"] is None
    assert sum(cell["ours"] is None for cell in content) == 23


def test_the_kept_results_are_of_the_papers_splits():
    lines = read(RESULTS)
    hashes = {key: data_set.test for key, data_set in PAPER.data_sets.items()}
    test = lines[lines["split"] == "test"]
    assert len(test) and (test["split_hash"] == test["data_set"].map(hashes)).all()
    assert pd.api.types.is_float_dtype(lines["iou"]) and not lines.duplicated(["run", "split"]).any()


def test_table_7_prints_our_bench(run):
    shown = run("table", 7).output
    assert "17.24" in shown and "not run" not in shown
    content = json.loads(run("table", 7, "--json").output)
    assert len(content["rows"]) == 6 and content["machine"]
    pairs = {tuple(one["pair"]) for one in content["ours"]}
    assert pairs == {("DNA-num16", "DNA-num4"), ("AMFU-num16", "AMFU-num4"), ("DMF-num16", "DMF-num4")}


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
    assert line.split()[-6:] == ["DNA-num16", "DNA-num4", "90.5", "30.25", "60.25", "3.01x"]
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
        (("table", 1, "--results", "nowhere"), "nowhere"),
        (("table", 7, "--results", "nowhere"), "not with table 7"),
        (("table", 1, "--bench", "bench.json"), "not with table 1"),
    ],
)
def test_bad_arguments_are_named_in_one_line(run, arguments, named):
    error = run(*arguments).exception
    assert isinstance(error, DsadError) and named in str(error) and "\n" not in str(error)
