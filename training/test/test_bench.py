"""``dsad bench train`` and ``dsad kernels`` run on a small data set and say what they found."""

import json

import cv2
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.errors import DsadError
from dsad_training import cli
from dsad_training.bench import cli as bench_cli


@pytest.fixture
def dsad():
    app = typer.Typer()
    cli.register(app)
    bench = typer.Typer()
    bench.callback()(lambda: None)
    bench_cli.register(bench)
    app.add_typer(bench, name="bench")
    return lambda *words: CliRunner().invoke(app, [*map(str, words)])


def test_the_loops_are_timed_in_turn(dsad, tiny_data, tmp_path):
    out = tmp_path / "train.json"
    shown = dsad(
        "bench",
        "train",
        "--data",
        tiny_data,
        "--width",
        2,
        "--crop",
        32,
        "--batch",
        4,
        "--crop",
        48,
        "--batch",
        2,
        "--blocks",
        2,
        "--seconds",
        0.05,
        "--threads",
        1,
        "--json",
        out,
    )
    assert shown.exit_code == 0, shown.output
    report = json.loads(out.read_text())
    assert [(size["crop"], size["batch"]) for size in report["sizes"]] == [(32, 4), (48, 2)]
    for size in report["sizes"]:
        for loop in ("plain", "operators", "ours"):
            assert len(size[loop]["blocks"]) == 2
            assert all(
                block["images"] % size["batch"] == 0 and block["seconds"] > 0 and block["cpu_seconds"] > 0
                for block in size[loop]["blocks"]
            )
        pairs = zip(size["plain"]["blocks"], size["ours"]["blocks"])
        rates = [(one["images"] / one["seconds"], two["images"] / two["seconds"]) for one, two in pairs]
        assert size["ratios"] == pytest.approx([ours / plain for plain, ours in rates])
        assert f"{size['ratio']:.2f}" in shown.output


@pytest.mark.parametrize(
    "words",
    [
        ("--network", "dmfnet"),
        ("--crop", 64, "--batch", 64),
        ("--crop", 64),
        ("--crop", 60, "--batch", 4),
    ],
)
def test_what_cannot_be_compared_is_refused(dsad, tiny_data, words):
    shown = dsad("bench", "train", "--data", tiny_data, *words)
    assert isinstance(shown.exception, DsadError)


@pytest.mark.parametrize("base", ["zero_sum", "ones", "learnable"])
def test_kernels_are_drawn(dsad, tmp_path, base):
    out = tmp_path / "kernels.png"
    shown = dsad("kernels", "--out", out, "--base", base)
    assert shown.exit_code == 0, shown.output
    picture = cv2.imread(str(out))
    assert min(picture.shape[:2]) > 300 and picture.std() > 10


def test_an_unknown_base_is_one_line(dsad, tmp_path):
    shown = dsad("kernels", "--out", tmp_path / "kernels.png", "--base", "wavy")
    assert isinstance(shown.exception, DsadError) and "base" in str(shown.exception)
    assert not (tmp_path / "kernels.png").exists()
