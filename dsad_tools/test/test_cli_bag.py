"""``dsad bag`` makes bags that open, and explains itself."""

import json

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.errors import DsadError
from dsad_tools.bags.source import BagSource
from dsad_tools.cli.bag import register
from dsad_tools.data.dataset import SirstDataset


@pytest.fixture
def dsad():
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["bag", *map(str, words)], catch_exceptions=True)


def test_make_synthetic_then_info(dsad, tmp_path):
    made = dsad(
        "make",
        "synthetic",
        tmp_path / "bag",
        "--frames",
        4,
        "--size",
        "48x40",
        "--dtype",
        "uint16",
        "--fps",
        10,
        "--storage",
        "sqlite3",
    )
    assert made.exit_code == 0, made.output
    shown = json.loads(dsad("info", tmp_path / "bag", "--json").stdout)
    assert shown["storage"] == "sqlite3" and shown["messages"] == 12 and shown["duration_ns"] == 300_000_000
    samples = list(BagSource(tmp_path / "bag"))
    assert samples[0].image.shape == (40, 48) and samples[0].image.dtype == "uint16"


def test_limit_cuts_a_bag_made_of_a_bag(dsad, tmp_path):
    dsad("make", "synthetic", tmp_path / "long", "--frames", 5, "--size", "48x40")
    assert dsad("make", tmp_path / "long", tmp_path / "short", "--limit", 2).exit_code == 0
    assert len(BagSource(tmp_path / "short")) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("make", "synthetic", "out", "--size", "48by40"),
        ("make", "synthetic", "out", "--fps", 0),
        ("info", "absent"),
    ],
)
def test_errors_are_the_suites_own(dsad, words):
    shown = dsad(*words)
    assert isinstance(shown.exception, DsadError)


def test_a_bag_knows_the_split_it_was_made_of(dsad, tmp_path):
    folder = tmp_path / "SET"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
        for index in range(3):
            cv2.imwrite(
                str(folder / name / f"{index}.png"), np.full((8, 8), 255 * (name == "masks"), np.uint8)
            )
    (folder / "test.txt").write_text("0\n1\n2\n")
    assert dsad("make", folder, tmp_path / "whole").exit_code == 0
    assert dsad("make", folder, tmp_path / "part", "--limit", 2, "--storage", "sqlite3").exit_code == 0
    whole, part = BagSource(tmp_path / "whole"), BagSource(tmp_path / "part")
    assert (whole.name, whole.split) == ("SET", "test")
    assert whole.split_hash == SirstDataset(folder).split_hash
    assert (part.split, part.split_hash) == ("test (first 2)", "")
