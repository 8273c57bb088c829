"""``dsad bench engine``, ``detector`` and ``tracker`` on the shipped baseline."""

import json

import cv2
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.errors import DsadError
from dsad_tools.bench.measure import Block
from dsad_tools.cli import bench

QUICK = ("--size", "96x64", "--threads", "1", "--backend", "onnxruntime")


@pytest.fixture(scope="module")
def dsad():
    application = typer.Typer()
    bench.register(application)
    application.callback()(lambda: None)  # keeps the command named while it is the only one
    return lambda *words: CliRunner().invoke(application, ["bench", *map(str, words)])


def rows(report):
    return {entry["contender"]: entry for entry in report["results"]}


def test_contenders_take_turns_and_are_compared(dsad, tmp_path):
    result = dsad("engine", "local-contrast", *QUICK, "--runs", 3, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "local-contrast, 96x64, 1 thread" in result.stdout and "SHA-256" in result.stdout
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["machine"]["cpu"] and report["machine"]["onnxruntime"] and not report["interrupted"]
    assert report["subjects"][0]["name"] == "local-contrast" and report["speedups"] == []
    plain, ours = rows(report)["plain onnxruntime"], rows(report)["onnxruntime"]
    assert plain["baseline"] and plain["ratio"] == 1.0 and not ours["baseline"]
    for entry in (plain, ours):
        figures, start = entry["milliseconds"], entry["cold_start"]
        assert figures["frames"] == 3 and 0 < figures["p50"] <= figures["p99"] <= figures["max"]
        assert 0 < start["load_ms"] < start["start_ms"] and start["memory_mib"] > 0
        assert entry["sha256"] == report["subjects"][0]["sha256"]
    assert ours["agreement"]["differing"] == 0 and ours["agreement"]["pixels"] == 4 * 96 * 64
    assert min(cv2.imread(str(tmp_path / "bench.png")).shape[:2]) > 200


def test_what_cannot_run_has_a_row_that_says_why(dsad, tmp_path):
    result = dsad(
        "engine",
        "local-contrast",
        *QUICK,
        "--backend",
        "acl",
        "--precision",
        "fp16",
        "--runs",
        1,
        "--no-cold",
        "--out",
        tmp_path,
    )
    assert result.exit_code == 0, result.output
    found = rows(json.loads((tmp_path / "bench.json").read_text()))
    assert found["acl"]["reason"].startswith("missing: ")
    assert found["onnxruntime fp16"]["reason"] == "no engine local-contrast-fp16 beside local-contrast"
    assert "why not" in result.stdout


def test_where_nothing_runs_the_reasons_are_all_there_is(dsad, tmp_path):
    result = dsad("engine", "local-contrast", "--target", "ascend", "--size", "64x64", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert all("reason" in entry for entry in json.loads((tmp_path / "bench.json").read_text())["results"])
    assert not (tmp_path / "bench.png").exists()


def test_interrupted_it_shows_the_turns_until_then(dsad, tmp_path, monkeypatch):
    measure = Block.measure

    def until_the_second_block(self, runs, advance):
        if self.size == (32, 32):
            raise KeyboardInterrupt
        measure(self, runs, advance)

    monkeypatch.setattr(Block, "measure", until_the_second_block)
    result = dsad(
        "engine", "local-contrast", *QUICK, "--size", "32x32", "--runs", 2, "--no-cold", "--out", tmp_path
    )
    assert result.exit_code == 130 and "interrupted" in result.stdout
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["interrupted"] and {entry["width"] for entry in report["results"]} == {96}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("local-contrast", "--size", "64"), "size '64'"),
        (("local-contrast", "--target", "tpu"), "'tpu'"),
        (("local-contrast", "--backend", "tea"), "'tea'"),
        (("local-contrast", "--precision", "fp8"), "fp8"),
        (("local-contrast", "--skip", "tea"), "tea"),
        (("nope",), "no engine 'nope'"),
    ],
)
def test_engine_names_what_is_wrong(dsad, arguments, words):
    error = dsad("engine", *arguments).exception
    assert isinstance(error, DsadError) and words in str(error) and "\n" not in str(error)


def test_scale_counts_a_pixel_of_every_setting(dsad, tmp_path):
    sizes = ("--size", "96x64", "--size", "128x96")
    result = dsad(
        "scale", "local-contrast", *sizes, "--threads", 1, "--threads", 2, "--runs", 3, "--out", tmp_path
    )
    assert result.exit_code == 0, result.output
    assert "ns a pixel" in result.stdout and "measured peak" in result.stdout
    found = json.loads((tmp_path / "scale.json").read_text())["results"]
    assert [(entry["width"], entry["height"], entry["threads"]) for entry in found] == [
        *((96, 64, 1), (128, 96, 1)),
        *((96, 64, 2), (128, 96, 2)),
    ]
    for entry in found:
        first, third = entry["quartiles"]
        assert 0 < first <= entry["ns_a_pixel"] <= third and entry["processor_ns_a_pixel"] > 0
        pixels = entry["width"] * entry["height"]
        assert entry["milliseconds"] * 1e6 == pytest.approx(entry["ns_a_pixel"] * pixels)
    assert min(cv2.imread(str(tmp_path / "scale.png")).shape[:2]) > 200


def test_detector_measures_every_setting(dsad, tmp_path):
    path = tmp_path / "bench.json"
    result = dsad(
        "detector",
        "local-contrast",
        "--size",
        "96x64",
        "--size",
        "64x64",
        "--threads",
        "1",
        "--runs",
        "4",
        "--json",
        path,
    )
    assert result.exit_code == 0, result.output
    assert "96x64" in result.stdout and "postprocess" in result.stdout
    report = json.loads(path.read_text())
    assert report["engine"] == "local-contrast" and report["machine"]["cpu"]
    assert [(case["width"], case["height"], case["threads"]) for case in report["results"]] == [
        (96, 64, 1),
        (64, 64, 1),
    ]
    for case in report["results"]:
        figures = case["milliseconds"]["total"]
        assert figures["frames"] == 4 and 0 < figures["p50"] <= figures["p99"] <= figures["max"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("local-contrast", "--size", "64"), "size '64'"),
        (("local-contrast", "--target", "tpu"), "'tpu'"),
        (("nope",), "no engine 'nope'"),
    ],
)
def test_detector_names_what_is_wrong(dsad, arguments, words):
    error = dsad("detector", *arguments).exception
    assert isinstance(error, DsadError) and words in str(error)


def test_tracks_are_timed_on_one_core(dsad):
    threads = cv2.getNumThreads()
    try:
        result = dsad("tracker", "local-contrast", "--size", "96x64", "--backend", "onnxruntime", "--runs", 4)
    finally:
        cv2.setNumThreads(threads)
    assert result.exit_code == 0, result.output
    assert "generated 96x64, pan 3 px a frame, 4 frames" in result.stdout
    assert "processor time" in result.stdout and "wall time" in result.stdout
