"""The graph that is compiled gives the network's answers and holds nothing that inference can do without."""

import hashlib
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from dsad_training.compile.deployable import deployable
from dsad_training.compile.graph import OPSET, to_onnx
from dsad_training.networks.amfunet import AMFUNet
from dsad_training.networks.build import build_network
from dsad_training.networks.dmfnet import DMFNet
from dsad_training.networks.dnanet import DNANet
from dsad_training.networks.dsa import DirectionalAttention
from dsad_training.recipe import network_part

#: All that a graph may consist of, besides what normalises by groups in DMFNet.
OPERATORS = {
    "Add", "BatchNormalization", "Concat", "Conv", "Div", "GlobalAveragePool", "GlobalMaxPool",
    "InstanceNormalization", "MatMul", "MaxPool", "Mul", "Pad", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceSum", "Relu", "Resize", "Sigmoid", "Unsqueeze",
}  # fmt: skip
GROUPS = {"Reshape", "Shape"}
FIXED = (48, 80)


def normalised(network):
    """Its normalisations have seen data, so that folding them changes numbers."""
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(1 + 2 * torch.randn(2, 1, 32, 32))
    return network.eval()


@pytest.fixture(
    scope="module",
    params=[
        (DNANet, "cbam"), (DNANet, "dsa"), (AMFUNet, "cbam"), (AMFUNet, "dsa"), (DMFNet, "none"),
        (DMFNet, "dsa"),
    ],
    ids=["dna", "dna-dsa", "amfu", "amfu-dsa", "dmf", "dmf-dsa"],
)  # fmt: skip
def network(request):
    torch.manual_seed(1)
    build, spatial = request.param
    return normalised(build(4, spatial))


@pytest.fixture(scope="module")
def free(network):
    return to_onnx(deployable(network), network.size_multiple)


@pytest.fixture(scope="module")
def fixed(network):
    return to_onnx(deployable(network), network.size_multiple, FIXED)


def run(model, tensor):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": tensor})[0]


def assert_agrees(network, model, sizes):
    random = np.random.default_rng(0)
    for size in sizes:
        tensor = random.normal(1, 2, (1, 1, *size)).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(tensor))[-1].numpy()
        np.testing.assert_allclose(run(model, tensor), expected, atol=1e-4, rtol=1e-4)


def constants(model):
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@torch.no_grad()
def test_one_channel_and_no_foldable_normalisation_is_left(network):
    image = 3 + torch.randn(1, 1, 48, 64)
    small = deployable(network)
    readers = [block.body[0] for block in map(small.network.get_submodule, network.image_blocks)]
    assert [conv.in_channels for conv in readers] == [1] * len(readers)
    # In DMFNet 4 + 3 normalisations follow a sum and 18 stand before a padded convolution.
    left = sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in small.modules())
    assert left == (4 + 3 + 18 if isinstance(network, DMFNet) else 0)
    torch.testing.assert_close(small(image), network(image.repeat(1, 3, 1, 1))[-1], atol=1e-4, rtol=1e-4)
    assert network.get_submodule(network.image_blocks[0]).body[0].in_channels == 3


def test_a_free_graph_agrees_at_several_sizes(network, free):
    assert_agrees(network, free, [(32, 32), (80, 48), (112, 144)])
    dims = [value.type.tensor_type.shape.dim for value in (free.graph.input[0], free.graph.output[0])]
    assert [[dim.dim_value or dim.dim_param for dim in shape] for shape in dims] == [
        [1, 1, "height", "width"]] * 2  # fmt: skip


def test_a_fixed_graph_agrees_and_knows_every_shape(network, fixed):
    assert_agrees(network, fixed, [FIXED])
    known = {value.name: value.type.tensor_type.shape.dim for value in fixed.graph.value_info}
    for node in fixed.graph.node[:-1]:
        assert all(dim.dim_value for dim in known[node.output[0]]), node.name
    values = constants(fixed)
    for node in fixed.graph.node:
        assert node.op_type != "Shape"
        if node.op_type == "Resize":
            assert list(values[node.input[3]]) == [dim.dim_value for dim in known[node.output[0]]]


def test_a_graph_holds_standard_operators_and_no_idle_ones(network, free, fixed):
    for model in (free, fixed):
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
        kinds = Counter(node.op_type for node in model.graph.node)
        assert not kinds.keys() - OPERATORS - (GROUPS if isinstance(network, DMFNet) else set())
        assert isinstance(network, DMFNet) or "BatchNormalization" not in kinds
        assert {node.domain for node in model.graph.node} == {""}


def test_attention_pools_once_and_runs_one_perceptron(network, free):
    blocks = sum(1 for name, _ in network.named_modules() if name.endswith("channel.mlp"))
    if isinstance(network, AMFUNet):
        blocks += 3  # one module serves four levels
    kinds = Counter(node.op_type for node in free.graph.node)
    pooled = [(node.op_type, node.input[0]) for node in free.graph.node if "Global" in node.op_type]
    assert len(pooled) == len(set(pooled))
    assert kinds["GlobalMaxPool"] == kinds["ReduceSum"] == blocks
    readers = [node for node in free.graph.node if "channel/mlp" in node.name and node.op_type == "Conv"]
    assert len(readers) == 2 * blocks


def test_dsa_is_a_plain_convolution(network, free):
    shapes = [values.shape for values in constants(free).values()]
    assert (8, 1, 7, 7) not in shapes
    with_dsa = any(isinstance(module, DirectionalAttention) for module in network.modules())
    assert ((4, 2, 7, 7) in shapes) == with_dsa


def test_names_are_short_and_those_of_the_modules(network, free):
    names = [node.name for node in free.graph.node]
    assert len(set(names)) == len(names) and max(map(len, names)) <= 48
    assert all(node.output[0] in (node.name, "logits") for node in free.graph.node)
    conv = next(node for node in free.graph.node if node.op_type == "Conv")
    path = network.image_blocks[0].removeprefix("nodes.")
    assert conv.name == f"{path}/body.0/Conv"
    assert list(conv.input) == ["image", f"{conv.name}.weight", f"{conv.name}.bias"]


def test_the_same_network_gives_the_same_bytes():
    network = AMFUNet(4, "dsa").eval()
    first, second = (to_onnx(deployable(network), 16).SerializeToString(deterministic=True) for _ in range(2))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_only_the_prediction_head_is_kept():
    values = constants(to_onnx(deployable(DNANet(4).eval()), 16))
    heads = {name.split("/")[0] for name in values if name.startswith("heads")}
    assert heads == {"heads.3"}


def test_dmfnet_enlarges_after_the_convolution(network, free):
    if not isinstance(network, DMFNet):
        return
    graph = free.graph
    made_by = {node.output[0]: node for node in graph.node}
    enlarged = [node for node in graph.node if node.name.startswith("sides") and node.op_type == "Resize"]
    assert len(enlarged) == 3
    assert {made_by[node.input[0]].op_type for node in enlarged} == {"Conv"}


@pytest.mark.parametrize("build", [DNANet, AMFUNet, DMFNet])
def test_num16_compiles_too(build):
    torch.manual_seed(2)
    network = normalised(build(16, "dsa"))
    assert_agrees(network, to_onnx(deployable(network), network.size_multiple), [(32, 48)])


def test_branches_of_the_training_leave_the_graph_as_it_is():
    parts = [network_part(name="dnanet", width=4, reparameterised=branched) for branched in (True, False)]
    branched, plain = (to_onnx(deployable(build_network(part).eval()), 16).graph for part in parts)
    nodes = [
        [(node.name, node.op_type, list(node.input)) for node in graph.node] for graph in (branched, plain)
    ]
    assert nodes[0] == nodes[1]
    assert [list(each.dims) for each in branched.initializer] == [
        list(each.dims) for each in plain.initializer
    ]
