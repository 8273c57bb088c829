"""The compiled training kernels: torch's double-precision gradients, borders, threads, and what they leave alone."""

import copy
import shutil
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dsad_core.errors import DsadError
from dsad_training.losses import task_loss
from dsad_training.native import library, use_kernels
from dsad_training.networks.branches import branch
from dsad_training.networks.dnanet import DNANet
from dsad_training.networks.dsa import DsaOptions
from dsad_training.networks.layers import Bilinear, up
from dsad_training.networks.residual import ChannelAttention, ResidualBlock, spatial_attention

#: Largest error beside the largest value: float32 sums of some 10,000 products, gates and norms behind them.
TOLERANCE = 3e-5

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")


def block_of(cin, cout, spatial="cbam", side=7, channel=True, options=DsaOptions()):
    torch.manual_seed(cin + 100 * cout)
    block = ResidualBlock(
        cin,
        cout,
        ChannelAttention(cout, 16) if channel else None,
        spatial_attention(spatial, side, options),
    )
    with torch.no_grad():
        for weight in block.parameters():
            if weight.ndim == 1:  # scales below 0 too: the channels' maxima are then minima before BN
                weight.copy_(torch.randn_like(weight))
    return block


def assert_same(block, shape):
    """Outputs, all gradients and the statistics of a fused block and its copy in double, in training and eval."""
    plain = copy.deepcopy(block).double()
    assert use_kernels(block) == [block]
    x = torch.randn(shape, requires_grad=True)
    reference = x.detach().double().requires_grad_()
    out, expected = block(x), plain(reference)
    assert "Fused" in out.grad_fn.name()
    slope = torch.randn_like(out)
    out.backward(slope)
    expected.backward(slope.double())
    close("output", out, expected)
    close("input", x.grad, reference.grad)
    largest = max(weight.grad.abs().max() for weight in plain.parameters())
    for (name, weight), twin in zip(block.named_parameters(), plain.named_parameters()):
        # A bias before BatchNorm has no gradient: what is left is rounding.
        close(name, weight.grad, twin[1].grad, floor=largest)
    for (name, one), other in zip(block.named_buffers(), plain.buffers()):
        close(name, one, other)
    block.eval(), plain.eval()
    with torch.no_grad():
        close("eval", block(x.detach()), plain(reference.detach()))


def close(name, one, other, floor=0.0):
    scale = max(other.abs().max(), floor, 1e-3)
    assert (one - other).abs().max() <= TOLERANCE * scale, name


@needs_compiler
@pytest.mark.parametrize("batch, height, width", [(1, 5, 7), (2, 4, 4), (3, 17, 33), (2, 1, 9), (16, 64, 64)])
@pytest.mark.parametrize("cin, cout", [(1, 1), (3, 4), (4, 4), (12, 4)])
def test_narrow_blocks_on_odd_sizes(cin, cout, batch, height, width):
    if batch == 16 and cin == 1:
        pytest.skip("large enough with the others")
    assert_same(block_of(cin, cout), (batch, cin, height, width))


@needs_compiler
@pytest.mark.parametrize("cin, cout", [(8, 8), (5, 3), (16, 16), (44, 8), (16, 64), (64, 64)])
@pytest.mark.parametrize("last", [False, True])
def test_wider_blocks_in_both_layouts_of_weights(cin, cout, last):
    block = block_of(cin, cout)
    if last:
        block.to(memory_format=torch.channels_last)
    assert_same(block, (2, cin, 10, 12))
    assert all(weight.grad.stride() == weight.stride() for weight in block.parameters())


@needs_compiler
@pytest.mark.parametrize(
    "content",
    [
        dict(spatial="none"),
        dict(spatial="none", channel=False),
        dict(side=3),
        dict(spatial="dsa"),
        dict(spatial="dsa", channel=False),
        dict(spatial="dsa", options=DsaOptions(padding="zeros")),
        dict(spatial="dsa", options=DsaOptions(base="zero_sum", sign="same")),
        dict(spatial="dsa", options=DsaOptions(base="ones")),
    ],
)
@pytest.mark.parametrize("cin", [4, 6])
def test_every_gate(content, cin):
    assert_same(block_of(cin, 4, **content), (2, cin, 14, 11))


@needs_compiler
@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Conv2d(1, 1, 3, padding=1), (1, 1, 1, 1)),
        (nn.Conv2d(3, 5, 3, padding=1), (2, 3, 7, 9)),
        (nn.Conv2d(20, 8, 3, padding=1, bias=False), (3, 20, 16, 33)),
        (nn.Conv2d(64, 4, 1), (2, 64, 4, 4)),
        (nn.Conv2d(4, 1, 1), (3, 4, 13, 5)),
        (up(2), (2, 3, 5, 7)),
        (up(16), (2, 4, 4, 4)),
        (up(0.5), (2, 3, 16, 12)),
        (up(2), (1, 1, 1, 1)),
        (up(4, align_corners=False), (2, 2, 3, 9)),
        (nn.MaxPool2d(2), (3, 5, 6, 14)),
    ],
    ids=str,
)
@pytest.mark.parametrize("last", [False, True])
def test_layers(layer, shape, last):
    layer = copy.deepcopy(layer)
    if last:
        layer.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(layer).double()
    assert use_kernels(layer) == [layer]
    x = torch.randn(shape).round(decimals=1).requires_grad_()  # with ties
    reference = x.detach().double().requires_grad_()
    out, expected = layer(x), plain(reference)
    assert out.grad_fn.name().startswith("_")
    slope = torch.randn_like(out)
    out.backward(slope)
    expected.backward(slope.double())
    close("output", out, expected)
    close("input", x.grad, reference.grad)
    for (name, weight), twin in zip(layer.named_parameters(), plain.parameters()):
        close(name, weight.grad, twin.grad)
        assert weight.grad.stride() == weight.stride()


@needs_compiler
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 3, 2, 1),
        nn.MaxPool2d(4),
    ],
)
def test_other_layers_stay(layer):
    assert use_kernels(layer) == []


@needs_compiler
def test_what_is_not_a_number_shows():
    block = block_of(4, 4)
    use_kernels(block)
    with torch.no_grad():
        block.body[0].weight.fill_(float("nan"))
    assert block(torch.randn(2, 4, 8, 8)).isnan().any()


@needs_compiler
def test_ties_share_their_gradient_as_in_torch():
    block = block_of(2, 2)
    with torch.no_grad():  # both channels alike, and flat: every maximum is a tie
        for weight in block.parameters():
            weight.copy_(weight[:1].expand_as(weight).clone())
            weight.abs_()
    plain = copy.deepcopy(block).double()
    use_kernels(block)
    x = torch.randn(2, 1, 6, 6).expand(-1, 2, -1, -1).clone().requires_grad_()
    reference = x.detach().double().requires_grad_()
    slope = torch.randn(2, 2, 6, 6)
    block(x).backward(slope)
    plain(reference).backward(slope.double())
    close("input", x.grad, reference.grad)


@needs_compiler
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads):
    block = block_of(12, 8)
    use_kernels(block)
    x, found = torch.randn(3, 12, 20, 24), []
    before = torch.get_num_threads()
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            mine = copy.deepcopy(block)
            given = x.clone().requires_grad_()
            mine(given).square().sum().backward()
            found.append([given.grad, *(weight.grad for weight in mine.parameters())])
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*found):
        assert torch.equal(one, other)


@needs_compiler
def test_a_whole_network_follows_the_plain_one_over_some_steps():
    torch.manual_seed(0)
    plain = DNANet(4)
    fast = copy.deepcopy(plain)
    kinds = [type(module) for module in use_kernels(fast)]
    assert kinds.count(ResidualBlock) == 26 and kinds.count(nn.Conv2d) == 8
    assert kinds.count(Bilinear) == 6 and kinds.count(nn.MaxPool2d) == 1
    assert fast.state_dict().keys() == plain.state_dict().keys()
    images = torch.randn(4, 4, 1, 32, 32)
    truths = (torch.rand(4, 4, 1, 32, 32) > 0.95).float()
    losses = []
    for network in (plain, fast):
        optimiser, mine = torch.optim.SGD(network.parameters(), lr=0.01), []
        for image, truth in zip(images, truths):
            loss = task_loss(network(image), truth, bce=0.5)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            mine.append(loss.detach())
        losses.append(torch.stack(mine))
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)
    for (name, one), other in zip(plain.named_buffers(), fast.buffers()):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3, msg=name)


@needs_compiler
def test_hooks_inside_a_block_are_called_and_those_on_it_too():
    block, seen = block_of(4, 4), []
    use_kernels(block)
    x = torch.randn(2, 4, 8, 8)
    block.register_forward_hook(lambda module, inputs, output: seen.append("block"))
    assert "Fused" in block(x).grad_fn.name() and seen == ["block"]
    handle = block.body[3].register_forward_hook(lambda module, inputs, output: seen.append("inside"))
    assert "Fused" not in block(x).grad_fn.name() and seen == ["block", "inside", "block"]
    handle.remove()
    assert "Fused" in block(x).grad_fn.name()


@needs_compiler
def test_what_the_kernels_do_not_know_runs_module_by_module():
    network = DNANet(2)
    branch(network)
    assert not any(isinstance(module, ResidualBlock) for module in use_kernels(network))
    block = block_of(4, 4)
    use_kernels(block)
    with torch.autocast("cpu", torch.bfloat16):
        assert "Fused" not in block(torch.randn(2, 4, 8, 8)).grad_fn.name()
    assert "Fused" not in copy.deepcopy(block).double()(torch.randn(2, 4, 8, 8).double()).grad_fn.name()
    block.body[0].weight.requires_grad_(False)
    assert "Fused" not in block(torch.randn(2, 4, 8, 8)).grad_fn.name()
    block.requires_grad_(False).eval()  # a frozen teacher whose input is a student's
    out = block(torch.randn(2, 4, 8, 8, requires_grad=True))
    out.sum().backward()
    assert "Fused" not in out.grad_fn.name()


@needs_compiler
def test_a_copy_of_a_fused_block_is_its_own():
    block = block_of(4, 4)
    use_kernels(block)
    twin = copy.deepcopy(block)
    nn.init.zeros_(twin.body[4].weight)
    x = torch.randn(2, 4, 8, 8)
    before = block(x).detach()
    assert not torch.allclose(twin(x), before)
    torch.testing.assert_close(block(x), before)


def test_without_a_compiler_it_is_said_once_and_nothing_changes(monkeypatch, capsys):
    library.kernels.cache_clear()
    monkeypatch.setattr(library.shutil, "which", lambda name: None)
    try:
        block = block_of(4, 4)
        assert use_kernels(block) == use_kernels(block) == []
        said = capsys.readouterr().err
        assert said.count("g++") == 1 and said.count("\n") == 1
        assert "Fused" not in block(torch.randn(2, 4, 8, 8)).grad_fn.name()
    finally:
        library.kernels.cache_clear()


def test_a_compiler_that_fails_is_one_line(monkeypatch, tmp_path):
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho 'kernels.cpp:1: error: no such luck' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(library, "shutil", SimpleNamespace(which=lambda name: str(broken)))
    with pytest.raises(DsadError, match="no such luck") as failure:
        library.load()
    assert "\n" not in str(failure.value)


@needs_compiler
def test_the_library_is_built_once(monkeypatch, tmp_path):
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "cache"))
    library.load()
    (kept,) = (tmp_path / "cache" / "kernels").iterdir()
    before = kept.stat().st_mtime_ns
    library.load()
    assert kept.stat().st_mtime_ns == before
    (tmp_path / "other" / "kernels").mkdir(parents=True, mode=0o700)
    (tmp_path / "other" / "kernels" / kept.name).write_bytes(b"damaged")
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "other"))
    with pytest.raises(DsadError, match="delete it"):
        library.load()
