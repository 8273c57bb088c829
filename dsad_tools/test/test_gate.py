"""`dsad gate`: counts of many bags, whoever counted them."""

import json

import pytest
from typer.testing import CliRunner

from dsad_core.cli.commands import build_app
from dsad_core.errors import DataError, EngineError, NotInstalledError
from dsad_tools.bags.write import BagWriter
from dsad_tools.gate import Task, find_bags, on_processes, on_scheduler, score, total
from dsad_tools.scenes.generator import SceneGenerator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    for number in range(3):
        with BagWriter(folder / f"flight {number}" / "bag", fps=25.0) as bag:
            for sample in SceneGenerator(96, 128, 4, seed=number):
                bag.write(sample)
    return folder


def test_a_gate_passes_and_fails_by_its_floors(folder, tmp_path):
    app, path = build_app(), tmp_path / "gate.json"
    words = ["gate", str(folder), "--engine", "local-contrast", "--workers", "1", "--json", str(path)]
    passed = CliRunner().invoke(app, [*words, "--least-pd", "0.01"])
    assert passed.exit_code == 0 and "3 bags, 12 frames: passes" in passed.output
    counts = json.loads(path.read_text())
    assert counts["total"]["hits"] == sum(bag["hits"] for bag in counts["bags"].values()) > 0
    failed = CliRunner().invoke(app, [*words, "--least-pd", "1.0", "--most-fa", "0.0"])
    assert failed.exit_code == 1 and "is below 1" in failed.output and "is above 0" in failed.output


def test_an_engine_that_is_not_there_is_said_once(folder):
    refused = CliRunner().invoke(build_app(), ["gate", str(folder), "--engine", "no/such"])
    assert isinstance(refused.exception, EngineError) and "no/such" in str(refused.exception)


def test_a_bag_that_cannot_be_read_fails_the_gate_and_not_the_others(folder, tmp_path):
    whole = find_bags(folder)[0]
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(b"no bag")
    scores = [score(Task(str(path), "local-contrast")) for path in (whole, broken)]
    assert scores[0].counts.frames == 4 and scores[1].counts is None and "broken.mcap" in scores[1].refusal
    assert total(scores).frames == 4


def test_a_folder_without_a_bag_is_refused(tmp_path):
    with pytest.raises(DataError, match="no bag in it"):
        find_bags(tmp_path)


def test_a_scheduler_of_dask_counts_the_same(folder):
    distributed = pytest.importorskip("distributed")
    tasks = [Task(str(bag), "local-contrast") for bag in find_bags(folder)]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        counted = list(on_scheduler(tasks, cluster.scheduler_address))
    assert total(counted).result() == total(list(on_processes(tasks, 1))).result()


def test_without_dask_the_way_out_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(NotInstalledError, match="pip install distributed"):
        list(on_scheduler([Task("x", "local-contrast")], "tcp://127.0.0.1:1"))
