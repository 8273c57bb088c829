"""Branches beside 3x3 convolutions in training, folded into them for inference (Ding et al., RepVGG, CVPR 2021)."""

import copy
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dsad_training.networks.residual import ResidualBlock

Folded = TypeVar("Folded", bound=nn.Module)


class BranchedConv(nn.Module):
    """conv3 + BN(conv1) + BN(identity, where the channels agree): (N,cin,H,W) -> (N,cout,H,W), one conv3 when folded."""

    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.wide = nn.Conv2d(cin, cout, 3, padding=1)
        self.narrow = nn.Conv2d(cin, cout, 1, bias=False)
        self.narrow_norm = nn.BatchNorm2d(cout)
        self.straight_norm = nn.BatchNorm2d(cin) if cin == cout else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.wide(x) + self.narrow_norm(self.narrow(x))
        return y if self.straight_norm is None else y + self.straight_norm(x)

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """The convolution that answers as all branches do in eval mode."""
        single = copy.deepcopy(self.wide)
        branches = [(self.narrow.weight, self.narrow_norm)]
        if self.straight_norm is not None:
            identity = torch.eye(len(single.weight), dtype=single.weight.dtype, device=single.weight.device)
            branches.append((identity[:, :, None, None], self.straight_norm))
        for weight, norm in branches:
            statistics: Any = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
            scaled, offset = fuse_conv_bn_weights(weight, None, *statistics)
            single.weight += F.pad(scaled, (1, 1, 1, 1))  # a 1x1 kernel is a 3x3 one's centre
            if single.bias is not None:
                single.bias += offset
        return single


def branch(network: nn.Module) -> None:
    """Put a :class:`BranchedConv` in the place of every 3x3 convolution of the residual blocks."""
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            for number, layer in enumerate(block.body):
                if isinstance(layer, nn.Conv2d):
                    block.body[number] = BranchedConv(layer.in_channels, layer.out_channels)


def fold(network: Folded) -> Folded:
    """Copy in which every :class:`BranchedConv` is the one convolution that it amounts to in eval mode."""
    network = copy.deepcopy(network)
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            for number, layer in enumerate(block.body):
                if isinstance(layer, BranchedConv):
                    block.body[number] = layer.folded()
    return network
