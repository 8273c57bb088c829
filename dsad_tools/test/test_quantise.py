"""An engine on 8-bit integers is made where it loses little, and only there."""

import cv2
import pytest
import typer
from typer.testing import CliRunner

from dsad_core.detector import Detector
from dsad_core.engines.direct import requirements
from dsad_core.engines.direct.library import load_kernels
from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import MANIFEST_FILE, load_manifest
from dsad_core.engines.platform import load_platform
from dsad_core.engines.self_test import frames
from dsad_core.errors import EngineError, UnsupportedModelError, UsageError
from dsad_tools.bench.models import Model
from dsad_tools.bench.runtimes import runtimes
from dsad_tools.cli.quantise import register
from dsad_tools.quantise import quantise_engine

pytestmark = pytest.mark.skipif(
    not all(each.ok for each in requirements(load_platform("cpu"))) or not load_kernels().bytes,
    reason="no kernels, or a CPU without AVX-512 VNNI",
)
ENGINE = "dnanet-num4-nudt"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The frames of the self-test, labelled by what the engine finds in them."""
    folder = tmp_path_factory.mktemp("data") / "frames"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    engine = load_engine(ENGINE, "cpu", 1, "direct")
    detector = Detector(engine)
    for number, frame in enumerate(frames()):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), frame)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), detector.detect(frame).mask)
    engine.close()
    (folder / "train.txt").write_text("0\n1\n2\n3\n")
    return folder


def test_the_command_writes_an_engine_that_runs_and_says_what_it_costs(data, tmp_path):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    held = tmp_path / "held.txt"
    held.write_text("1\n2\n3\n")
    words = [ENGINE, data, "--out", tmp_path, "--max-iou-drop", 0.5, "--held-out", held]
    answer = CliRunner().invoke(app, ["quantise", *map(str, words)], catch_exceptions=False)
    folder = tmp_path / f"{ENGINE}-int8"
    assert answer.exit_code == 0 and answer.stdout.startswith(f"wrote {folder}: on 3 frames IoU 1.0000 -> ")
    manifest, source = load_manifest(folder), load_manifest(find_engine(ENGINE))
    assert (manifest.precision, manifest.sha256) == ("int8", source.sha256) and not manifest.test_results
    assert manifest.parity.images == 3 and manifest.parity.largest_logit_difference > 0
    assert -0.5 < manifest.parity.iou_change <= 0
    engine = load_engine(folder, "cpu", 2)
    assert engine.backend == "direct" and engine.precision == "int8"
    engine.close()
    model = Model(folder)
    rows = {runtime.name: runtime for runtime in runtimes("cpu", ["direct", "onnxruntime"])}
    rows["direct"].open(model, "cpu", 1, (64, 96)).close()
    with pytest.raises(UnsupportedModelError, match="program of backend direct"):
        rows["onnxruntime"].open(model, "cpu", 1, (64, 96))
    with pytest.raises(UsageError, match="computes in int8; give the one in fp32"):
        quantise_engine(folder, [data])


def test_frames_that_are_held_out_must_leave_some_to_calibrate(data):
    with pytest.raises(UsageError, match="of its 4 training frames 4 are held out"):
        quantise_engine(ENGINE, [data], held_out={"0", "1", "2", "3"})


def test_an_engine_that_loses_more_than_allowed_is_not_written(data, tmp_path, monkeypatch):
    monkeypatch.setattr("dsad_tools.quantise.HEADROOM", 60.0)  # steps too wide for anything
    with pytest.raises(
        EngineError, match="loses [01][.0-9]+ of IoU on 2 frames, 0.0 is allowed; nothing was written"
    ):
        quantise_engine(ENGINE, [data], tmp_path, 0.0)
    assert not list(tmp_path.rglob(MANIFEST_FILE))
