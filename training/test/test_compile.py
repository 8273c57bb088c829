"""From a checkpoint to an engine folder, and the gate in between."""

import shutil

import numpy as np
import onnx
import pytest
import torch

from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import Normalisation, Parity, load_manifest
from dsad_core.errors import DataError, EngineError, UsageError
from dsad_core.files import sha256_file
from dsad_core.plugins import plugins
from dsad_tools.data.dataset import SirstDataset
from dsad_training.checkpoint import keep_weights, save_weights
from dsad_training.compile import ParityLimits, compile_checkpoint
from dsad_training.compile import compile as module
from dsad_training.compile.manifest import engine_name
from dsad_training.compile.parity import TOLERANCE, check
from dsad_training.compile.scenes import Scenes, reflected, spread
from dsad_training.networks.build import build_network
from dsad_training.recipe import build_recipe

NORMALISATION = Normalisation(mean=(0.4,), std=(0.2,))
FACTS = {
    "data": "TINY-sirst", "split_hash": "0123456789ab", "step": 40, "images": 160, "train_images": 8,
    "changes": [],
}  # fmt: skip


def make_recipe(**changes):
    return build_recipe({
        "name": "tiny", "network": {"name": "amfunet", "width": 2}, "seed": 3,
        "data": {"mean": 0.4, "std": 0.2}, "phases": [{"steps": 40, "batch": 4, "crop": 32, "lr": 0.1}],
        **changes})  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run whose weights are random, but whose normalisations have seen data; it marks half of all."""
    recipe = make_recipe()
    torch.manual_seed(5)
    network = build_network(recipe.network).train()
    with torch.no_grad():
        for _ in range(5):
            network(2 * torch.randn(4, 1, 32, 32))
        middle = network.eval()(torch.randn(1, 1, 64, 64))[-1].median()
        for head in network.heads:
            head.bias -= middle
    folder = tmp_path_factory.mktemp("run")
    save_weights(folder, network.state_dict(), recipe, FACTS)
    return folder


@pytest.fixture
def compiled(run_folder, tiny_data, tmp_path):
    """Compile the run into ``tmp_path/engines``."""

    def compiled(*data, target="cpu", **options):
        return compile_checkpoint(run_folder, target, data or [tiny_data], tmp_path / "engines", **options)

    return compiled


def left_behind(tmp_path):
    return list((tmp_path / "engines").glob("*"))  # pathlib's glob finds hidden ones, too


def test_the_runtime_finds_the_compiler():
    assert plugins("compiler")["safetensors"].load() is compile_checkpoint


def test_an_engine_says_what_it_is_and_what_it_scored(compiled, capsys):
    folder = compiled()
    manifest = load_manifest(folder)
    assert folder.name == manifest.name == "amfunet-num2-tiny"
    assert (manifest.precision, manifest.size, manifest.opset) == ("fp32", None, 17)
    assert manifest.normalisation == NORMALISATION
    made = manifest.provenance.model_extra
    assert made["images_seen"] == 160 and made["steps"] == 40 and made["recipe_content"]["seed"] == 3
    # 40 steps of 4 crops of 32x32, over four images of 64x80 and four of 70x50.
    assert made["epochs"] == round(40 * 4 * 32 * 32 / (4 * (64 * 80 + 70 * 50)), 1)
    assert manifest.parity.images == 8 + 2 and manifest.parity.mask_pixels == 0
    assert manifest.parity.largest_logit_difference <= TOLERANCE
    assert manifest.parity.data.endswith(" train") and manifest.parity.backend
    (result,) = manifest.test_results
    assert (result.split, result.images, result.targets, result.seed) == ("test", 4, 4, 3)
    assert result.counts["pixels"] == 2 * (64 * 80 + 70 * 50)
    error = " ".join(capsys.readouterr().err.split())
    assert "parity on 10 images" in error and "IoU +0.0000" in error


def test_an_engine_of_several_data_sets_answers_for_each(compiled, tiny_data, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_data, other)
    manifest = load_manifest(compiled(tiny_data, other))
    alone = load_manifest(compiled(name="alone"))
    assert manifest.parity.images == 2 * alone.parity.images
    assert manifest.parity.data == f"{tiny_data.name} + other train"
    first, second = manifest.test_results
    assert [first] == alone.test_results and second == first.model_copy(update={"data_set": "other"})
    # The same pixels of training are half as many epochs of twice the images.
    epochs = [each.provenance.model_extra["epochs"] for each in (alone, manifest)]
    assert epochs[1] == pytest.approx(epochs[0] / 2, abs=0.1)


def test_compiling_again_gives_the_same_file(compiled):
    first, second = (
        sha256_file(compiled(name=name, test=False) / "model.onnx") for name in ("first", "second")
    )
    assert first == second


def test_weights_kept_beside_an_engine_stay_there(run_folder, tiny_data, tmp_path):
    kept = keep_weights(run_folder, tmp_path / "kept-num2")
    before = kept.read_bytes()
    compile_checkpoint(kept, "cpu", [tiny_data], tmp_path, name="kept-num2", test=False)
    assert kept.read_bytes() == before and (kept.parent / "model.onnx").exists()
    with pytest.raises(UsageError, match="other weights"):
        compile_checkpoint(run_folder, "cpu", [tiny_data], tmp_path, name="kept-num2", test=False)
    assert kept.read_bytes() == before


def test_a_fixed_size_takes_that_size_alone(compiled, tiny_data):
    folder = compiled(size=(64, 96))
    manifest = load_manifest(folder)
    assert folder.name == "amfunet-num2-tiny-96x64"
    assert manifest.size == (64, 96) and manifest.parity.images == 8
    assert manifest.test_results == []  # the test frames have other sizes
    engine = load_engine(folder, "cpu", threads=1)
    assert engine.infer(np.zeros((1, 1, 64, 96), np.float32)).shape == (64, 96)
    with pytest.raises(EngineError):
        engine.infer(np.zeros((1, 1, 64, 64), np.float32))
    engine.close()


@pytest.mark.parametrize("size", [(64, 100), (0, 64), (8, 64)])
def test_a_size_the_network_cannot_take_is_refused(compiled, size, tmp_path):
    with pytest.raises(UsageError, match=f"{size[1]}x{size[0]}.*multiples of 16"):
        compiled(size=size)
    assert not left_behind(tmp_path)


def test_a_machine_without_the_target_judges_on_the_cpu_and_says_so(compiled):
    parity = load_manifest(compiled(target="ascend", test=False)).parity
    assert parity.backend.startswith("onnxruntime") and parity.backend.endswith("in place of ascend")


@pytest.mark.parametrize("part", ["bias", "nan"])
def test_a_wrong_graph_is_refused_and_leaves_nothing(compiled, tmp_path, monkeypatch, part):
    to_onnx = module.to_onnx

    def tampered(*arguments):
        model = to_onnx(*arguments)
        tensor = [tensor for tensor in model.graph.initializer if tensor.name.endswith("Conv.bias")][-1]
        values = onnx.numpy_helper.to_array(tensor).copy()
        values.flat[0] = np.nan if part == "nan" else values.flat[0] + 0.5
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        return model

    good = compiled(name="engine", test=False)
    before = sha256_file(good / "manifest.yaml")
    monkeypatch.setattr(module, "to_onnx", tampered)
    for name in ("engine", "new"):
        refusal = f"{name} differs from the network.*mask pixels.*nothing was written"
        with pytest.raises(EngineError, match=refusal) as caught:
            compiled(name=name)
        assert "\n" not in str(caught.value)
    assert left_behind(tmp_path) == [good] and sha256_file(good / "manifest.yaml") == before


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_reduced_precision_is_measured_and_gated(compiled, precision, tmp_path):
    generous = {"iou": 0.5, "pd": 1.0, "fa": 1.0}
    folder = compiled(precision=precision, limits=generous)
    manifest = load_manifest(folder)
    assert folder.name == f"amfunet-num2-tiny-{precision}" and manifest.precision == precision
    assert manifest.parity.largest_logit_difference > 0 and len(manifest.test_results) == 1
    shutil.rmtree(folder)
    # It may gain by chance: a limit below what it measured is beyond chance.
    strict = {**generous, "iou": -manifest.parity.iou_change - 1e-9}
    with pytest.raises(EngineError, match="IoU .* beyond the limit.*allow more loss"):
        compiled(precision=precision, limits=strict)
    assert not left_behind(tmp_path)


def test_calibration_never_reads_the_test_split(compiled, tiny_data, tmp_path):
    data = tmp_path / "tiny-sirst"
    shutil.copytree(tiny_data, data)
    tests = (data / "50_50" / "test.txt").read_text().split()
    (data / "50_50" / "test.txt").unlink()
    for name in tests:
        (data / "images" / f"{name}.png").unlink()
        (data / "masks" / f"{name}.png").unlink()
    limits = {"iou": 1.0, "pd": 1.0, "fa": 1.0}
    folder = compiled(data, precision="int8", limits=limits, test=False)
    with_tests = compiled(precision="int8", limits=limits, test=False, name="with-tests")
    assert sha256_file(folder / "model.onnx") == sha256_file(with_tests / "model.onnx")
    with pytest.raises(DataError, match="no split 'test'"):
        compiled(data, name="tested")
    assert {path.name for path in left_behind(tmp_path)} == {folder.name, "with-tests"}


def parity(**changes):
    exact = dict(
        data="NUDT-SIRST train", images=34, mask_pixels=0, largest_logit_difference=1e-4, iou_change=0.0,
        pd_change=0.0, fa_change=0.0, backend="onnxruntime")  # fmt: skip
    return Parity(**{**exact, **changes})


def test_fp32_passes_the_gate_only_if_no_pixel_differs():
    check("engine", parity(), "fp32", ParityLimits())
    for change in ({"mask_pixels": 1}, {"largest_logit_difference": 2 * TOLERANCE}):
        with pytest.raises(EngineError, match="34 images of NUDT-SIRST train"):
            check("engine", parity(**change), "fp32", ParityLimits(1, 1, 1))


@pytest.mark.parametrize(
    "change, word",
    [({"iou_change": -0.02}, "IoU"), ({"pd_change": -0.02}, "Pd"), ({"fa_change": 2e-5}, "Fa"),
     ({"largest_logit_difference": float("inf")}, "finite")],
)  # fmt: skip
def test_reduced_precision_passes_the_gate_within_its_limits(change, word):
    with pytest.raises(EngineError, match=word):
        check("engine", parity(**change), "int8", ParityLimits())
    if word != "finite":
        check("engine", parity(**change), "int8", ParityLimits(iou=0.03, pd=0.03, fa=3e-5))
        # A gain is no loss.
        gain = {key: -value for key, value in change.items()}
        check("engine", parity(**gain, mask_pixels=99), "int8", ParityLimits(0, 0, 0))


def test_a_name_tells_one_engine_from_another():
    dsa = make_recipe(network={"name": "dnanet", "width": 4, "spatial": "dsa"})
    facts = {"data": "NUDT-SIRST"}
    assert engine_name(dsa, facts, "fp32", None, "agx") == "dnanet-num4-nudt-dsa"
    both = {"data": "NUDT-SIRST + NUAA-SIRST"}
    assert engine_name(dsa, both, "fp32", None, "cpu") == "dnanet-num4-nudt-nuaa-dsa"
    student = make_recipe(distillation={"method": "dsad", "teacher": "runs/teacher"})
    name = "amfunet-num2-nudt-dsad-int8"
    assert engine_name(student, facts, "int8", (512, 640), "cpu") == f"{name}-640x512"
    assert engine_name(student, facts, "int8", (512, 640), "agx") == f"{name}-agx-640x512"


def test_scenes_are_what_the_detector_would_give_the_engine(tiny_data):
    source = SirstDataset(tiny_data, "train")
    index = next(i for i, sample in enumerate(source) if sample.image.shape == (70, 50))
    scenes = Scenes(source, [index], NORMALISATION, 16, None)
    (scene,) = scenes
    image = source[index].image
    assert scene.mask.shape == image.shape == (70, 50) and scene.tensor.shape == (1, 1, 80, 64)
    expected = (image / np.float32(255) - np.float32(0.4)) / np.float32(0.2)
    np.testing.assert_allclose(scene.tensor[0, 0, :70, :50], expected, atol=1e-5)
    np.testing.assert_array_equal(scene.tensor[0, 0, 70:, :50], scene.tensor[0, 0, 59:69, :50][::-1])
    sizes = [odd.tensor.shape[2:] for odd in scenes.odd()]
    assert all(side % 16 == 0 for size in sizes for side in size) and sizes[0] == (112, 80)
    assert all(odd.tensor.shape[2:] == odd.mask.shape for odd in scenes.odd())


def test_indices_are_spread_and_shares_are_disjoint():
    assert spread(range(10), 3) == [0, 3, 6] and spread(range(2), 5) == [0, 1]
    judging, calibrating = module._shares(664, "int8")
    assert len(judging) == module.LOSS_IMAGES and len(calibrating) == module.CALIBRATION_IMAGES
    assert not set(judging) & set(calibrating)
    assert module._shares(1, "int8") == ([0], [0])


def test_a_mirrored_border_repeats_as_often_as_it_takes():
    small = np.arange(3)[None] + np.zeros((2, 1), int)
    assert reflected(small, 1, 8)[0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
