import numpy as np
import onnx
import pytest
import torch
import yaml

from dsad_core.engines.manifest import load_manifest
from dsad_core.errors import EngineError
from dsad_training import export as module
from dsad_training.export import deployable, export, parity, to_onnx
from dsad_training.networks.amfunet import AMFUNet
from dsad_training.networks.dmfnet import DMFNet
from dsad_training.networks.dnanet import DNANet
from dsad_training.recipe import build_recipe
from dsad_training.train import train


@pytest.fixture(
    params=[(DNANet, "cbam"), (DNANet, "dsa"), (AMFUNet, "cbam"), (DMFNet, "dsa")],
    ids=["dna", "dna-dsa", "amfu", "dmf-dsa"],
)
def network(request):
    """A network whose normalisations have seen data, so that folding them changes numbers."""
    torch.manual_seed(1)
    build, spatial = request.param
    network = build(4, spatial).train()
    for _ in range(3):
        network(1 + 2 * torch.randn(4, 1, 32, 32))
    return network.eval()


@torch.no_grad()
def test_folding_keeps_the_outputs_up_to_the_border(network):
    image = 3 + torch.randn(1, 1, 48, 64)
    folded = deployable(network)
    readers = [block.body[0] for block in map(folded.get_submodule, network.image_blocks)]
    assert [conv.in_channels for conv in readers] == [1] * len(readers)
    # Only DMFNet has normalisations that follow no convolution: these stay.
    left = sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.modules())
    assert left == (4 + 3 + 18 if isinstance(network, DMFNet) else 0)
    expected = network(image.repeat(1, 3, 1, 1))[-1]
    torch.testing.assert_close(folded(image)[-1], expected, atol=1e-4, rtol=1e-4)
    assert network.get_submodule(network.image_blocks[0]).body[0].in_channels == 3


def test_onnx_agrees_at_several_sizes(network, tmp_path):
    path = tmp_path / "model.onnx"
    to_onnx(deployable(network), path)
    random = np.random.default_rng(0)
    images = [random.normal(0, 1, size).astype(np.float32) for size in [(32, 32), (80, 48), (272, 304)]]
    agreement = parity(network, path, images)
    assert agreement.images == 3 and agreement.pixels == 0
    assert agreement.difference < 1e-4
    graph = onnx.load(path).graph
    assert [node.name for node in graph.input] == ["image"]
    assert [node.name for node in graph.output] == ["logits"]
    dims = graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in dims] == [1, 1, "height", "width"]
    assert {node.domain for node in graph.node} == {""}


def test_only_the_prediction_head_is_exported(tmp_path):
    to_onnx(deployable(DNANet(4).eval()), tmp_path / "model.onnx")
    names = [initializer.name for initializer in onnx.load(tmp_path / "model.onnx").graph.initializer]
    assert [name for name in names if "heads" in name] == ["network.heads.3.weight", "network.heads.3.bias"]
    assert (tmp_path / "model.onnx").stat().st_size < 1.5e6


def test_dsa_is_plain_convolutions(tmp_path):
    to_onnx(deployable(DNANet(4, "dsa").eval()), tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    shapes = {tuple(initializer.dims) for initializer in graph.initializer}
    assert (4, 2, 7, 7) in shapes and (8, 1, 7, 7) not in shapes
    # The bases are no longer interpolated: what is resized is feature maps alone.
    assert sum(node.op_type == "Resize" for node in graph.node) == 10 + 6 + 4


def test_engine_folder_has_results_and_loads(tiny_recipe, tiny_data, tmp_path):
    train(build_recipe(tiny_recipe), tiny_data, tmp_path / "run", minutes=0)
    engine = export(tmp_path / "run", tiny_data, tmp_path / "engines", name="tiny-engine")
    manifest = load_manifest(engine)
    assert manifest.name == "tiny-engine" and manifest.width == 2
    result = manifest.test_results[0]
    assert result.split == "test" and result.images == 4 and result.targets == 4
    assert result.counts["pixels"] == 2 * (64 * 80 + 70 * 50)
    content = yaml.safe_load((engine / "manifest.yaml").read_text())
    assert content["provenance"]["recipe"] == "tiny" and content["provenance"]["images_seen"] == 4


def test_nothing_is_written_when_onnx_disagrees(tiny_recipe, tiny_data, tmp_path, monkeypatch):
    train(build_recipe(tiny_recipe), tiny_data, tmp_path / "run", minutes=0)

    def spoilt(network):
        network = deployable(network)
        torch.nn.init.constant_(network.heads[-1].bias, 50.0)
        return network

    monkeypatch.setattr(module, "deployable", spoilt)
    with pytest.raises(EngineError, match="differs from the network"):
        export(tmp_path / "run", tiny_data, tmp_path / "engines")
    assert not list((tmp_path / "engines").glob("*"))
    assert not list((tmp_path / "engines").glob(".*"))
