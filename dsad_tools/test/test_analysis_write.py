"""The figures and files of a study, and the command that makes them."""

import json

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.errors import UsageError
from dsad_tools.analysis import analyse, write_study
from dsad_tools.analysis.canvas import wrapped
from dsad_tools.analysis.figures import roc, thresholds
from dsad_tools.cli import analyse as command
from dsad_tools.data.sample import Sample
from dsad_tools.scenes.generator import SceneGenerator

FILES = {
    "sweep.json",
    "failures.json",
    "roc.png",
    "froc.png",
    "thresholds.png",
    "grid.png",
    "surfaces.png",
    "failures.png",
    "offsets.png",
}


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """A data set of five generated frames, of which three are the test split."""
    folder = tmp_path_factory.mktemp("scenes")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for sample in SceneGenerator(72, 104, frames=5, seed=9):
        cv2.imwrite(str(folder / f"images/{sample.name}.png"), sample.image)
        cv2.imwrite(str(folder / f"masks/{sample.name}.png"), sample.mask)
    names = sorted(path.stem for path in (folder / "images").iterdir())
    (folder / "test.txt").write_text("\n".join(names[:3]))
    return folder, names


@pytest.fixture
def run():
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    return lambda *arguments: CliRunner().invoke(app, ["analyse", *map(str, arguments)])


def test_the_command_writes_figures_and_the_numbers_behind_them(data_set, run, tmp_path):
    folder, names = data_set
    result = run(
        "local-contrast",
        folder,
        "--out",
        tmp_path / "out",
        "--threads",
        1,
        "--images",
        f"{names[2]},{names[0]}",
    )
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    sweep = json.loads((tmp_path / "out/sweep.json").read_text())
    assert (sweep["frames"], sweep["split"], sweep["matching"]) == (3, "test", "nearest")
    assert sweep["images"] == [names[2], names[0]] and len(sweep["split_hash"]) == 12
    engine = sweep["engines"][0]
    own = next(point for point in engine["points"] if point["threshold"] == engine["threshold"] == 0.5)
    assert own["pd"] == own["hits"] / own["targets"] and own["pixels"] == 3 * 72 * 104
    ranked = json.loads((tmp_path / "out/failures.json").read_text())["engines"][0]["ranking"]
    assert sorted(row["name"] for row in ranked) == names[:3]
    assert sum(row["false_pixels"] for row in ranked) == own["false_pixels"]
    for name in FILES:
        if name.endswith(".png"):
            picture = cv2.imread(str(tmp_path / "out" / name))
            assert min(picture.shape[:2]) > 300 and picture.std() > 5, name
    assert f"{own['iou']:.4f}" in result.output and sweep["split_hash"] in result.output


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--matching", "box"], "matching 'box' does not score masks"),
        (["--images", "nope"], "image nope is not among"),
        (["--threshold", "1.5"], "threshold 1.5"),
        (["--limit", "0"], "limit 0"),
    ],
)
def test_bad_requests_are_refused_and_nothing_is_written(data_set, run, tmp_path, arguments, words):
    result = run("local-contrast", data_set[0], "--out", tmp_path / "out", *arguments)
    assert isinstance(result.exception, UsageError) and words in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_engines_of_one_name_are_told_apart(engine):
    labels = command._labelled(
        {"a/engine": engine, "b/engine": engine}, dict.fromkeys(("a/engine", "b/engine"), "local-contrast")
    )
    assert list(labels) == ["local-contrast (a/engine)", "local-contrast (b/engine)"]


def test_frames_without_targets_or_failures_still_make_every_figure(engine, tmp_path):
    class Blank:
        name, kind, split_hash, fps, notes = "blank", "images", "", None, []

        def __len__(self):
            return 1

        def __iter__(self):
            blank = np.full((48, 160), 20, np.uint8)
            return iter([Sample("only", blank, blank * 0)])

    study = analyse({"engine": engine}, Blank(), progress=False)
    assert study.engines[0].worst == []
    assert {path.name for path in write_study(tmp_path, study)} == FILES
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert json.loads((tmp_path / "sweep.json").read_text())["engines"][0]["points"][0]["pd"] is None


def test_engines_have_the_labels_they_are_given_on_the_frames_that_are_named(data_set, run, tmp_path):
    folder, names = data_set
    out = tmp_path / "out"
    options = ("--out", out, "--threads", 1, "--images-only")
    result = run("first=local-contrast", "local-contrast", folder, *options, "--images", names[1])
    assert result.exit_code == 0, result.output
    content = json.loads((out / "sweep.json").read_text())
    assert [each["label"] for each in content["engines"]] == ["first", "local-contrast"]
    assert content["frames"] == 1 and content["split_hash"] == "" and content["images"] == [names[1]]
    refused = run("local-contrast", folder, *options)
    assert isinstance(refused.exception, UsageError) and "--images" in str(refused.exception)


def test_curves_hold_the_points_of_the_sweep(engine):
    study = analyse({"engine": engine}, SceneGenerator(96, 128, frames=4, seed=1), progress=False)
    line, ring = roc(study).axes[0].lines[:2]
    own = study.engines[0].own.result
    assert ring.get_ydata()[0] == own.pd
    operating = [
        point.result
        for point in study.engines[0].points
        if point.result.predictions and point.result.fa <= 1e-2
    ]
    assert list(line.get_ydata()) == [result.pd for result in operating] and len(operating) > 10
    assert all(x == result.fa for x, result in zip(line.get_xdata(), operating) if result.fa)
    upper, lower = thresholds(study).axes
    curves = [line for line in upper.lines if len(line.get_xdata()) > 2]
    for curve, name in zip(curves, ("pd", "iou", "niou"), strict=True):
        assert list(curve.get_ydata()) == [getattr(point.result, name) for point in study.engines[0].points]
    assert lower.get_yscale() == "log"


def test_long_labels_are_wrapped_and_lose_nothing():
    assert wrapped("input", 1.0) == "input"
    for label in ("dnanet-num4-nudt.step4347", "a_very_long_name_without_any_hyphen", "x" * 40):
        lines = wrapped(label, 0.9).split("\n")
        assert "".join(lines) == label and max(map(len, lines)) <= 14 and len(lines) > 1
