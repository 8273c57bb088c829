"""A checkpoint in the place of an engine gives the answers of the engine compiled from it."""

import numpy as np
import onnx
import pytest
import torch

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import MODEL_FILE, save_manifest
from dsad_core.errors import EngineError, PlatformError
from dsad_core.files import sha256_file
from dsad_core.plugins import plugins
from dsad_tools.analysis import analyse
from dsad_tools.data.dataset import SirstDataset
from dsad_training.checkpoint import CheckpointError, save_weights
from dsad_training.compile.deployable import deployable
from dsad_training.compile.graph import to_onnx
from dsad_training.networks.build import build_network
from dsad_training.recipe import build_recipe
from dsad_training.torch_engine import TorchEngine

FACTS = {"data": "tiny", "split_hash": "0123456789ab", "step": 40, "images": 160}


@pytest.fixture(params=["dnanet", "amfunet", "dmfnet"])
def run_folder(request, tmp_path):
    """A run whose weights are random, but whose normalisations have seen data."""
    recipe = build_recipe(
        {
            "name": "tiny",
            "network": {"name": request.param, "width": 4},
            "seed": 3,
            "data": {"mean": 0.4, "std": 0.2},
            "phases": [{"steps": 1, "batch": 2, "crop": 32, "lr": 0.1}],
        }
    )
    torch.manual_seed(5)
    network = build_network(recipe.network).train()
    for _ in range(3):
        network(2 * torch.randn(4, 1, 32, 32))
    folder = tmp_path / "Tiny run 1"
    folder.mkdir()
    save_weights(folder, network.state_dict(), recipe, FACTS)
    return folder


@pytest.fixture
def checkpoint(run_folder):
    """Found and opened by the runtime as any engine is."""
    assert plugins("engine")["safetensors"].value == "dsad_training.torch_engine:TorchEngine"
    engine = load_engine(run_folder, threads=1)
    assert isinstance(engine, TorchEngine)
    yield engine
    engine.close()


def compiled(checkpoint, folder):
    """The engine of the same weights; its manifest is the checkpoint's but for the hash."""
    folder.mkdir()
    network = checkpoint._network
    onnx.save(to_onnx(deployable(network), network.size_multiple), folder / MODEL_FILE)
    save_manifest(folder, checkpoint.manifest.model_copy(update={"sha256": sha256_file(folder / MODEL_FILE)}))
    return load_engine(folder, threads=1)


def test_masks_are_those_of_the_compiled_engine(checkpoint, tmp_path):
    twin = compiled(checkpoint, tmp_path / "engine")
    random = np.random.default_rng(0)
    for size in ((64, 64), (70, 50), (33, 100)):
        frame = random.integers(0, 256, size, np.uint8)
        tensor = np.ascontiguousarray(random.normal(0, 1, (1, 1, 48, 80)).astype(np.float32))
        np.testing.assert_allclose(checkpoint.infer(tensor), twin.infer(tensor), atol=1e-3)
        # A threshold amid the answers, so that the mask is neither empty nor full.
        middle = float(np.median(checkpoint.infer(tensor)))
        threshold = 1 / (1 + np.exp(-middle))
        theirs, ours = (Detector(engine, threshold).detect(frame).mask for engine in (twin, checkpoint))
        assert ours.shape == size and 0 < np.count_nonzero(ours) < ours.size
        assert np.count_nonzero(ours != theirs) <= 2


def test_the_manifest_says_what_was_trained(checkpoint, run_folder):
    manifest = checkpoint.manifest
    assert manifest.name == "tiny-run-1.step40" and manifest.width == 4
    assert manifest.sha256 == sha256_file(run_folder / "weights.safetensors")
    assert manifest.normalisation.mean == (0.4,) and manifest.normalisation.std == (0.2,)
    assert manifest.training_data == "tiny train" and manifest.provenance.seed == 3
    assert (
        checkpoint.platform == "cpu" and checkpoint.description == f"torch {torch.__version__} CPU, 1 thread"
    )


def test_a_checkpoint_is_analysed_as_an_engine_is(checkpoint, tiny_data, tmp_path):
    twin = compiled(checkpoint, tmp_path / "engine")
    source = SirstDataset(tiny_data, "test")
    study = analyse({"checkpoint": checkpoint, "engine": twin}, source, progress=False)
    ours, theirs = (one.own.result for one in study.engines)
    assert ours.frames == 4 and abs(ours.union - theirs.union) <= 0.001 * ours.pixels


@pytest.mark.parametrize(
    "tensor",
    [
        np.zeros((1, 3, 32, 32), np.float32),
        np.zeros((1, 1, 30, 32), np.float32),
        np.zeros((1, 1, 32, 32)),
        np.zeros((1, 1, 0, 32), np.float32),
        np.zeros((32, 32), np.float32),
    ],
)
def test_tensors_that_do_not_fit_are_refused(checkpoint, tensor):
    with pytest.raises(EngineError, match=r"takes float32 \(1, 1, H, W\).*multiples of (8|16)"):
        checkpoint.infer(tensor)


def test_targets_that_torch_cannot_run_are_refused(run_folder, monkeypatch):
    with pytest.raises(PlatformError, match="'agx'.*dsad compile"):
        load_engine(run_folder, "agx")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PlatformError, match="finds no CUDA device"):
        load_engine(run_folder, "cuda")


def test_damaged_and_missing_weights_are_one_line(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        load_engine(tmp_path / "gone.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(CheckpointError, match="damaged") as caught:
        load_engine(tmp_path / "bad.safetensors")
    assert "\n" not in str(caught.value)
