"""The layouts of training on a CPU change the speed alone."""

import copy

import pytest
import torch
import torch.nn.functional as F

from dsad_training.losses import task_loss
from dsad_training.networks.amfunet import AMFUNet
from dsad_training.networks.dmfnet import DMFNet
from dsad_training.networks.dnanet import DNANet
from dsad_training.networks.layers import interpolation, up
from dsad_training.networks.layout import convolve_in_channels_last


@pytest.mark.parametrize("network", [DNANet, AMFUNet, DMFNet])
def test_values_and_gradients_stay(network):
    torch.manual_seed(0)
    # Double precision: the order of the sums differs, and the gates magnify what float32 makes of that.
    plain = network(4).double()
    fast = copy.deepcopy(plain)
    convolve_in_channels_last(fast)
    image, truth = torch.randn(4, 1, 32, 48).double(), (torch.rand(4, 1, 32, 48) > 0.9).double()
    outputs = []
    for built in (plain, fast):
        torch.manual_seed(1)
        outputs.append(built(image))
        task_loss(outputs[-1], truth, bce=0.5).backward()
    for one, other in zip(*outputs):
        torch.testing.assert_close(one, other)
    for (name, one), other in zip(plain.named_parameters(), fast.parameters()):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)
    assert plain.state_dict().keys() == fast.state_dict().keys()


def test_between_convolutions_tensors_have_the_default_layout():
    network, seen = DNANet(4), []
    convolve_in_channels_last(network)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].is_contiguous()))
        norm.register_full_backward_hook(
            lambda module, gradients, arriving: seen.append(arriving[0].is_contiguous())
        )
    task_loss(network(torch.randn(2, 1, 32, 32)), torch.zeros(2, 1, 32, 32)).backward()
    assert len(seen) == 2 * len(norms) and all(seen)


@pytest.mark.parametrize("factor", [0.5, 2, 8])
@pytest.mark.parametrize("align_corners", [True, False])
def test_the_products_resize_as_torch_does(factor, align_corners):
    resize, image = up(factor, align_corners), torch.randn(2, 3, 16, 24).bfloat16()
    one, other = (image.clone().requires_grad_() for _ in range(2))
    mine = resize(one)
    torchs = F.interpolate(other, scale_factor=factor, mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(mine, torchs, rtol=0.02, atol=0.03)
    gradient = torch.randn(mine.shape).bfloat16()
    mine.backward(gradient)
    torchs.backward(gradient)
    torch.testing.assert_close(one.grad, other.grad, rtol=0.03, atol=0.1)
    rows = interpolation(16, factor, align_corners, torch.float32)
    torch.testing.assert_close(rows.sum(1), torch.ones(len(rows)))
