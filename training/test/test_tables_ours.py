"""Which of our results stand beside which of the paper's."""

import json
import shutil
from pathlib import Path

import pytest
from table_rows import PAPER

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import read_manifest
from dsad_core.files import sha256_file
from dsad_tools.data.dataset import SirstDataset
from dsad_tools.evaluate import evaluate
from dsad_tools.report.build import write_json
from dsad_training.compile import compile_checkpoint
from dsad_training.recipe import build_recipe
from dsad_training.tables.compose import compose
from dsad_training.tables.ours import find_trained
from dsad_training.tables.table import join
from dsad_training.train import train

RESULTS = Path(__file__).parents[1] / "results"
ENGINES = Path(__file__).parents[2] / "edge_engines"
COUNTS = ("hits", "predictions", "false_targets", "false_pixels", "intersection", "union", "pixels")


def ours(number, tmp_path):
    joined = join(number, find_trained([], [tmp_path]))
    return {row.name: row.ours for row in joined.rows if any(row.ours.values())}, joined.notes


def test_engines_stand_in_their_rows_of_every_table(engine, tmp_path):
    engine("table1/dsad")
    engine("table4/ones")
    engine("table1/dna-num4", "nuaa")
    engine("table6/dna-num4-dsa")
    found = {number: ours(number, tmp_path)[0].keys() for number in range(1, 7)}
    # Table 5 has no figures for NUAA-SIRST, so there the student trained on it has no place.
    assert found == {
        1: {"dna-num4", "dsad"},
        2: set(),
        3: set(),
        4: {"dna-num4", "ones", "dsa"},
        5: set(),
        6: {"dna-num4", "dna-num4-dsa"},
    }
    assert ours(1, tmp_path)[0]["dna-num4"]["nudt"] == []


def test_seeds_of_one_recipe_are_averaged_and_other_budgets_are_not(engine, tmp_path):
    for seed, iou in ((1, 0.80), (2, 0.82)):
        engine("table1/dsad", seed=seed, iou=iou)
    engine("table1/dsad", seed=3, iou=0.9, images_seen=90_000)
    both, longer = sorted(ours(1, tmp_path)[0]["dsad"]["nudt"], key=lambda o: -len(o.trials))
    assert both.iou.mean == pytest.approx(81) and both.iou.deviation == pytest.approx(2**0.5)
    assert both.facts["seeds"] == [1, 2]
    assert longer.iou.mean == pytest.approx(90) and longer.iou.deviation is None
    assert longer.fa.mean == pytest.approx(1.25)


@pytest.mark.parametrize("origin", ["teacher_sha256", "start_sha256"])
def test_seeds_that_build_on_other_weights_are_not_averaged(engine, tmp_path, origin):
    content = {**compose("table1/dsad", "best", "nudt", 20, 0, "runs/teacher"), "start": "runs/before"}
    del content["name"]
    for seed, sha256 in ((1, "a" * 64), (2, "b" * 64), (3, "b" * 64)):
        engine("table1/dsad", seed=seed, recipe_content={**content, "seed": seed}, **{origin: sha256})
    outcomes = ours(1, tmp_path)[0]["dsad"]["nudt"]
    assert sorted(outcome.facts["seeds"] for outcome in outcomes) == [[1], [2, 3]]


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"test_hash": "0" * 12}, "whole split"),
        ({"split_hash": "0" * 12}, "whole split"),
        ({"images": 10}, "whole split"),
        ({"results": []}, "--no-test"),
    ],
)
def test_a_result_that_does_not_compare_is_left_out_and_said(engine, tmp_path, changes, reason):
    engine("table1/kd", **changes)
    rows, notes = ours(1, tmp_path)
    assert not rows
    (note,) = notes
    assert reason in note and "table1/kd" in note


def test_what_cannot_be_read_is_said_and_does_not_hide_the_rest(engine, tmp_path):
    engine("table1/kd")
    broken = engine("table1/pkd") / "manifest.yaml"
    broken.write_text("name: [")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "weights.safetensors").write_bytes(b"no such thing")
    rows, notes = ours(1, tmp_path)
    assert rows.keys() == {"kd"}
    assert len(notes) == 2 and str(broken) in notes[0] and "weights.safetensors" in notes[1]


def test_the_trainings_on_record_all_count():
    tables = [ours(number, RESULTS) for number in (1, 4, 5, 6)]
    assert {"dna-num16", "dna-num4", "dsad"} < tables[0][0].keys() and not tables[0][1]
    counted = {
        training.folder.name
        for rows, _ in tables
        for row in rows.values()
        for found in row.values()
        for outcome in found
        for training, _ in outcome.trials
    }
    assert counted == {folder.name for folder in RESULTS.iterdir()}


def test_the_engines_that_ship_stand_in_table_6():
    rows, notes = ours(6, ENGINES)
    assert rows.keys() == {"dna-num16", "dna-num4", "dna-num4-dsa"}
    assert all(len(found) == 1 for row in rows.values() for found in row.values())
    assert not notes


def test_an_engine_found_twice_counts_once(engine, tmp_path):
    folder = engine("table1/kd")
    trained = find_trained([folder], [tmp_path, tmp_path])
    assert len(trained.trainings) == 1


def test_a_real_run_counts_by_the_record_of_its_evaluation(tiny_recipe, tiny_data, tmp_path, monkeypatch):
    recipe = build_recipe({**tiny_recipe, "network": {"name": "dnanet", "width": 4}, "seed": 5})
    run, engines = tmp_path / "run", tmp_path / "engines"
    train(recipe, [tiny_data], run)
    rows, (note,) = ours(1, tmp_path)
    assert not rows and f"dsad compile {run}" in note and "table1/dna-num4" in note

    folder = compile_checkpoint(run, "cpu", [tiny_data], engines, test=False)
    (training,) = find_trained([], [tmp_path]).trainings
    assert training.kind == "engine" and not training.results

    test = SirstDataset(tiny_data, "test")
    engine = load_engine(str(folder), "cpu")
    record = tmp_path / "records" / "engine.json"
    write_json(record, evaluate(Detector(engine), test, progress=False))
    engine.close()
    whole = {"train": SirstDataset(tiny_data, "train").split_hash, "test": test.split_hash, "test_images": 4}
    tiny = PAPER.data_sets["nudt"].model_copy(update=whole)
    monkeypatch.setitem(PAPER.data_sets, "nudt", tiny)
    scored = ours(1, tmp_path)[0]["dna-num4"]["nudt"][0]
    assert scored.facts["seeds"] == [5] and scored.facts["images_seen"] == 20
    assert scored.fa.mean == pytest.approx(json.loads(record.read_text())["metrics"]["fa"] * 1e5)

    # Without the engine, the run itself takes a record that names its weights, and no other.
    shutil.rmtree(engines)
    assert not ours(1, tmp_path)[0]
    content = json.loads(record.read_text())
    content["run"]["engine_sha256"] = sha256_file(run / "weights.safetensors")
    record.write_text(json.dumps(content))
    assert ours(1, tmp_path)[0]["dna-num4"]["nudt"][0].fa == scored.fa


def test_a_manifests_result_stands_before_a_record_of_the_same_test(engine, tmp_path):
    folder = engine("table1/kd", iou=0.8)
    manifest = read_manifest(folder)
    (result,) = manifest.test_results
    metrics = {**result.model_dump(), **dict.fromkeys(COUNTS, 0), "frames": result.images, "iou": 0.5}
    for threshold in (0.5, 0.3):
        facts = {"engine_sha256": manifest.sha256, "source": "x", "split": "test", "matching": "nearest"}
        facts |= {"split_hash": result.split_hash, "threshold": threshold}
        (tmp_path / f"{threshold}.json").write_text(json.dumps({"run": facts, "metrics": metrics}))
    (tmp_path / "other.json").write_text("[1, 2]")
    found = {o.facts["threshold"]: o.iou.mean for o in ours(1, tmp_path)[0]["kd"]["nudt"]}
    assert found == {0.5: pytest.approx(80), 0.3: pytest.approx(50)}
