"""``dsad bag`` makes bags that open, and explains itself."""

import json

import pytest
import typer
from dsad_core.bags.source import BagSource
from dsad_core.cli.bag import register
from dsad_core.errors import DsadError
from typer.testing import CliRunner


@pytest.fixture
def dsad():
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["bag", *map(str, words)], catch_exceptions=True)


def test_make_synthetic_then_info(dsad, tmp_path):
    made = dsad("make", "synthetic", tmp_path / "bag", "--frames", 4, "--size", "48x40", "--dtype", "uint16",
                "--fps", 10, "--storage", "sqlite3")
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
    [("make", "synthetic", "out", "--size", "48by40"), ("make", "synthetic", "out", "--fps", 0),
     ("info", "absent")],
)
def test_errors_are_the_suites_own(dsad, words):
    shown = dsad(*words)
    assert isinstance(shown.exception, DsadError)
