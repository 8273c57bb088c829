"""From a trained network to the module that is compiled: its prediction, less what training alone needs."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsad_training.networks.branches import fold
from dsad_training.networks.dsa import LearnableDirectionalAttention
from dsad_training.networks.network import Network
from dsad_training.networks.residual import ChannelAttention


class Prediction(nn.Module):
    """The last of a network's outputs alone, (N,1,H,W)."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)[-1]


class StackedChannelAttention(nn.Module):
    """CBAM channel attention whose perceptron runs once, on mean and maximum stacked as two rows."""

    def __init__(self, attention: ChannelAttention):
        super().__init__()
        self.mean, self.max, self.mlp = attention.mean, attention.max, attention.mlp

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([self.mean(x), self.max(x)], 2)
        return torch.sigmoid(self.mlp(pooled).sum(2, keepdim=True))


def deployable(network: Network, channels: int = 1) -> Prediction:
    """Copy in eval mode, float32, that reads an image of one channel or three and gives the prediction's logits.

    With one, the three input channels hold the same grey image with the same mean and deviation, so that the
    convolutions that read it may sum their weights over them; zero padding adds the same zeros to each. Branches
    beside a convolution are folded into it. A BatchNorm becomes part of the convolution before it. One that follows
    no convolution stays: in these networks a ReLU or a zero-padded convolution is behind it, and its offset cannot
    move through either.
    """
    network = fold(network).eval().float().requires_grad_(False)
    if channels == 1:
        for path in network.image_blocks:
            block: Any = network.get_submodule(path)
            block.body[0] = merge_input_channels(block.body[0])
            if not isinstance(block.shortcut, nn.Identity):
                block.shortcut[0] = merge_input_channels(block.shortcut[0])
    network.input_channels = channels
    _replace_children(network)
    return Prediction(network).eval()


def _replace_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        _replace_children(child)
        setattr(module, name, _replacement(child))


def _replacement(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.Sequential):
        return fold_normalisation(enlarge_last(module))
    if isinstance(module, ChannelAttention):
        return StackedChannelAttention(module)
    if isinstance(module, LearnableDirectionalAttention):
        return module.frozen()
    if isinstance(module, nn.GroupNorm) and module.num_groups == module.num_channels:
        return instance_norm(module)
    return module


def merge_input_channels(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution for one channel that stands for all its equal input channels."""
    merged = copy.deepcopy(conv)
    merged.weight = nn.Parameter(conv.weight.detach().sum(1, keepdim=True))
    merged.in_channels = 1
    return merged


def fold_normalisation(layers: nn.Sequential) -> nn.Sequential:
    """Merge each BatchNorm into the convolution right before it; positions of the others stay."""
    for i in range(1, len(layers)):
        before, norm = layers[i - 1], layers[i]
        if isinstance(norm, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            layers[i - 1] = fuse_conv_bn_eval(before, norm)
            layers[i] = nn.Identity()
    return layers


def enlarge_last(layers: nn.Sequential) -> nn.Sequential:
    """A 1x1 convolution before an enlargement in place of after it.

    They commute, because the weights of bilinear interpolation sum to 1, and the convolution then has a
    fraction of the pixels.
    """
    match list(layers):
        case [nn.Upsample() as enlarge, nn.Conv2d(kernel_size=(1, 1)) as conv]:
            return nn.Sequential(conv, enlarge)
    return layers


def instance_norm(norm: nn.GroupNorm) -> nn.InstanceNorm2d:
    """A GroupNorm of one channel a group as what it is, which takes one node and no reshaping."""
    instance = nn.InstanceNorm2d(norm.num_channels, norm.eps, affine=True)
    instance.load_state_dict(norm.state_dict())
    return instance
