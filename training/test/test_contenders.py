"""torch's contenders and the untrained networks run in ``dsad bench engine``."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from dsad_core.engines.manifest import read_manifest
from dsad_core.errors import EngineError, PlatformError, UsageError
from dsad_core.plugins import plugins
from dsad_tools.bench.measure import scenes
from dsad_tools.bench.models import Model, find_models
from dsad_tools.bench.runtimes import runtimes
from dsad_tools.cli import bench
from dsad_training import contenders as ours
from dsad_training import untrained

SIZE = (32, 48)


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """DMFNet, which has layers that the others have not, with engines of two precisions."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(untrained, "NETWORKS", [("dmfnet", 4)])
        (made,) = untrained.untrained(folder, ("fp16", "int8"))
    return made


def contender(name):
    return next(one for one in runtimes("cpu", ["onnxruntime", "direct"], ("fp16",)) if one.name == name)


def test_the_packages_offer_is_installed():
    (offer,) = plugins("contender").values()
    assert offer.value == "dsad_training.contenders:contenders"
    assert set(plugins("network")) == {"compile", "untrained"}


def test_an_untrained_network_is_told_as_such_and_answers_with_both_signs(subject):
    assert subject.note == "untrained weights: latency only"
    assert subject.manifest.name == "dmfnet-num4" and subject.manifest.parameters == 701_723  # the paper's
    engine = contender("onnxruntime").open(subject, "cpu", 1, SIZE)
    logits = engine.infer(next(scenes(subject.manifest, 128, 128)))
    assert 0.02 < (logits > 0).mean() < 0.98
    engine.close()


@pytest.mark.parametrize(
    "name", ["plain onnxruntime", "direct", "torch export, plain", "torch eager", "torch channels_last"]
)
def test_contenders_give_the_engines_answers(subject, name):
    tensor = next(scenes(subject.manifest, *SIZE))
    engines = [contender(each).open(subject, "cpu", 1, SIZE) for each in ("onnxruntime", name)]
    reference, answer = (engine.infer(tensor).copy() for engine in engines)
    assert answer.shape == SIZE and answer.dtype == np.float32
    np.testing.assert_allclose(answer, reference, atol=2e-3)
    for engine in engines:
        engine.close()


def test_reduced_precisions_stand_beside_the_engine(subject):
    for precision in ("fp16", "int8"):
        manifest = read_manifest(subject.compiled_to(precision))
        assert manifest.precision == precision and manifest.name == f"dmfnet-num4-{precision}"
        assert manifest.sha256 != subject.manifest.sha256
    with pytest.raises(EngineError, match="no engine dmfnet-num4-bf16"):
        subject.compiled_to("bf16")


def test_weights_that_were_trained_become_a_subject(subject, tmp_path):
    (made,) = find_models([str(subject.checkpoint.parent)], networks=False, folder=tmp_path)
    assert made.checkpoint == subject.checkpoint and made.note == ""
    assert made.manifest.name == "dmfnet-num4.step0"
    assert made.manifest.sha256 == subject.manifest.sha256


def test_each_contender_keeps_its_own_number_of_threads(subject):
    before = torch.get_num_threads()
    try:
        one, two = (contender("torch eager").open(subject, "cpu", count, SIZE) for count in (1, 2))
        assert torch.get_num_threads() == 2
        one.infer(np.zeros((1, 1, *SIZE), np.float32))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_what_torch_cannot_run_is_one_line(subject, monkeypatch):
    eager = contender("torch eager")
    with pytest.raises(EngineError, match="needs the weights"):
        eager.open(Model(subject.engine), "cpu", 1, SIZE)
    with pytest.raises(PlatformError, match="does not run on ascend"):
        eager.open(subject, "ascend", 1, SIZE)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PlatformError, match="no CUDA device"):
        eager.open(subject, "cuda", 1, SIZE)


def test_a_compiler_that_fails_is_one_line(subject, monkeypatch):
    def fail(*args, **options):
        def run(tensor):
            raise RuntimeError("no C++ compiler\nand a long story")

        return run

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(EngineError, match="torch failed: no C.. compiler$"):
        contender("torch.compile").open(subject, "cpu", 1, SIZE)


def test_contenders_are_listed_without_torch():
    names = [one.name for one in ours.contenders("cpu")]
    assert names == ["torch export, plain", "torch eager", "torch channels_last", "torch.compile"]


def test_bench_engine_shows_teacher_and_student(tmp_path):
    runs = [untrained._checkpoint("amfunet", width, tmp_path, seed=0) for width in (8, 4)]
    words = [
        *("bench", "engine", *map(str, runs), "--size", "48x32", "--threads", "1"),
        *("--backend", "onnxruntime", "--skip", "torch.compile", "--precision", "bf16"),
        *("--runs", "2", "--no-cold", "--out", str(tmp_path)),
    ]
    code = f"""
import sys
import typer
from dsad_tools.cli import bench
app = typer.Typer()
bench.register(app)
app.callback()(lambda: None)
app({words!r}, standalone_mode=False)
assert "torch" not in sys.modules, "torch is in the process that times others"
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    (one, *_) = report["speedups"]
    assert one["widths"] == [8, 4] and one["speedup"] > 0 and one["contender"] == "plain onnxruntime"
    name = f"{runs[1].name}.step0"
    ran = {entry["contender"]: entry for entry in report["results"] if entry["network"] == name}
    assert {"torch eager", "torch channels_last", "torch export, plain"} < ran.keys()
    assert "bfloat16" in ran["onnxruntime bf16"]["reason"]
    eager = ran["torch eager"]
    assert eager["agreement"]["largest_logit_difference"] < 1e-2
    first, third = eager["quartiles"]
    assert 0 < first <= third
    assert eager["ratio_quartiles"][0] <= eager["ratio"] <= eager["ratio_quartiles"][1]
    assert eager["over_bound"] == pytest.approx(eager["milliseconds"]["p50"] / eager["bound_ms"])
    assert all(subject["weights_sha256"] for subject in report["subjects"])
    assert "amfunet num8 / num4" in shown.stdout and "measured peak" in shown.stdout


def test_skipping_what_does_not_exist_is_refused(tmp_path):
    app = typer.Typer()
    bench.register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["bench", "engine", "--skip", "jax"])
    assert isinstance(result.exception, UsageError) and "jax" in str(result.exception)
