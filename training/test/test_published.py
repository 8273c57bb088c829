"""Published weights in this project's networks; the authors' own figure, where DSAD_DATA and DSAD_AMFUNET name files."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.errors import DsadError, UsageError
from dsad_core.metrics.accumulator import DetectionAccumulator
from dsad_training.checkpoint import CheckpointError, load_weights
from dsad_training.cli import register
from dsad_training.compile import compile_checkpoint
from dsad_training.networks.build import build_network
from dsad_training.published import BLOCK, IMAGENET, import_weights
from dsad_training.recipe import network_part


def their_dnanet(name):
    """The authors' name of one of our weights."""
    kind, _, rest = name.partition(".")
    if kind == "nodes":
        node, number, rest = rest.split(".", 2)
        return f"conv{node[1]}_{node[2]}.{number}.{their_block(rest)}"
    if kind == "fusion":
        return f"conv0_4_final.0.{their_block(rest)}"
    number, _, rest = rest.partition(".")
    return f"final{int(number) + 1}.{rest}" if kind == "heads" else f"conv0_{4 - int(number)}_1x1.{rest[2:]}"


def their_amfunet(name):
    kind, _, rest = name.partition(".")
    if kind == "attention":
        return f"cat_attn.{their_block(rest)}"
    number, _, rest = rest.partition(".")
    level = int(number) + 1
    if kind == "encoder":
        return f"conv{level}.{their_block(rest)}"
    if kind == "heads":
        return f"outconv{level}.{rest}"
    if kind == "decoder":
        return f"{('conv', 'bn')[int(rest[0])]}{level}d_1.{rest[2:]}"
    source, _, part, rest = rest.split(".", 3)
    source = int(source) + 1
    way = f"h{source}_PT" if source < level else f"h{source}_Cat" if source == level else f"hd{source}_UT"
    return f"{way}_hd{level}_{('conv', 'bn')[int(part)]}.{rest}"


def their_block(rest):
    for theirs, mine in BLOCK.items():
        if rest.startswith(f"{mine}."):
            return theirs + rest.removeprefix(mine)
    return rest


THEIRS = {"dnanet": their_dnanet, "amfunet": their_amfunet}


def published(name, width, path, prefix="", **more):
    """A network with random statistics, and its checkpoint under the authors' names."""
    torch.manual_seed(1)
    network = build_network(network_part(name=name, width=width)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    weights = {f"{prefix}{THEIRS[name](key)}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": weights, "mean_IOU": np.float64(0.5), "epoch": 7, **more}, path)
    return network


@pytest.mark.parametrize("name, prefix", [("dnanet", ""), ("dnanet", "module.model."), ("amfunet", "")])
def test_published_names_become_ours(name, prefix, tmp_path):
    network = published(name, 8, tmp_path / "net.pth.tar", prefix)
    import_weights(tmp_path / "net.pth.tar", name, 8, tmp_path / "run", trained_on="NUAA-SIRST")
    found, recipe, facts = load_weights(tmp_path / "run")
    assert (recipe.data.mean, recipe.data.std) == IMAGENET and facts["data"] == "NUAA-SIRST"
    for key, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), key


def test_weights_of_one_input_channel_answer_alike(tmp_path):
    path = tmp_path / "net.pth"
    network = published("dnanet", 4, path)
    content = torch.load(path, weights_only=False)
    for key in ("conv0_0.0.conv1.weight", "conv0_0.0.shortcut.0.weight"):
        content["state_dict"][key] = content["state_dict"][key].sum(1, keepdim=True)
    torch.save(content["state_dict"], path)
    with pytest.raises(UsageError, match="give --mean and --std"):
        import_weights(path, "dnanet", 4, tmp_path / "run")
    import_weights(path, "dnanet", 4, tmp_path / "run", (0.4,), (0.13,))
    found, recipe, _ = load_weights(tmp_path / "run")
    image = torch.randn(1, 1, 32, 48)
    torch.testing.assert_close(found(image)[-1], network(image)[-1])
    assert recipe.data.mean == 0.4


def test_what_does_not_fit_is_named(tmp_path):
    path = tmp_path / "net.pth"
    published("amfunet", 4, path)
    with pytest.raises(CheckpointError, match=r"attention.* is \(.*\) in place of \(.*--width"):
        import_weights(path, "amfunet", 8, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"unexpected bn1d_1\.bias.* more; missing fusion\."):
        import_weights(path, "dnanet", 4, tmp_path / "run")
    with pytest.raises(UsageError, match="amfunet, dnanet"):
        import_weights(path, "dmfnet", 4, tmp_path / "run")
    torch.save({"state_dict": {}, "hook": print}, path)
    with pytest.raises(CheckpointError, match="more than tensors"):
        import_weights(path, "amfunet", 4, tmp_path / "run")
    torch.save({"epoch": 1}, path)
    with pytest.raises(CheckpointError, match="no state dict"):
        import_weights(path, "amfunet", 4, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_imported_weights_are_evaluated_and_compiled(tiny_data, tmp_path):
    app = typer.Typer()
    register(app)
    published("dnanet", 4, tmp_path / "net.pth.tar")
    arguments = [
        "import",
        tmp_path / "net.pth.tar",
        "--network",
        "dnanet",
        "--width",
        4,
        "--out",
        tmp_path / "run",
    ]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0 and "weights.safetensors" in result.output
    assert isinstance(CliRunner().invoke(app, list(map(str, arguments))).exception, DsadError)
    folder = compile_checkpoint(tmp_path / "run", "cpu", [tiny_data], tmp_path / "engines", test=False)
    assert folder.name == "dnanet-num4"
    frame = np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)
    masks = []
    for place in (folder, tmp_path / "run"):
        engine = load_engine(str(place), "cpu")
        assert engine.manifest.input_channels == 3 and engine.manifest.normalisation.mean == IMAGENET[0]
        masks.append(Detector(engine).detect(frame).mask)
        engine.close()
    assert np.array_equal(*masks)


@pytest.mark.skipif(
    not {"DSAD_DATA", "DSAD_AMFUNET"} <= os.environ.keys(),
    reason="DSAD_AMFUNET names no result/NUAA-SIRST_AMFU/AMFU_epoch.pth.tar, or DSAD_DATA no folder with NUAA-SIRST",
)
def test_amfunet_scores_what_its_authors_record(tmp_path):
    """Read as they read: three channels, by Pillow, at 256x256. The runtime reads grey, and many images are not quite."""
    path = Path(os.environ["DSAD_AMFUNET"])
    import_weights(path, "amfunet", 8, tmp_path / "run")
    network, recipe, _ = load_weights(tmp_path / "run")
    folder = Path(os.environ["DSAD_DATA"]) / "NUAA-SIRST"
    accumulator = DetectionAccumulator()
    with torch.inference_mode():
        for name in (folder / "50_50" / "test.txt").read_text().split():
            image = Image.open(folder / "images" / f"{name}.png").convert("RGB").resize((256, 256), 2)
            mask = Image.open(folder / "masks" / f"{name}.png").convert("L").resize((256, 256), 0)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
            logits = network(recipe.data.normalised(pixels))[-1][0, 0]
            accumulator.update((logits > 0).numpy(), np.array(mask) > 127)
    result = accumulator.result()
    assert result.iou == pytest.approx(0.7512493625701173, abs=1e-9)  # mean_IOU in the checkpoint
    assert (result.hits, result.targets, result.false_pixels) == (254, 263, 286)
