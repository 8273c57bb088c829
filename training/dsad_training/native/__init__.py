"""Compiled kernels for training narrow networks on a CPU.

At 4 to 64 channels a general runtime's step is bound by layouts, copies and small operators. Here a feature map is
a set of planes with a border of zeros (planes.hpp): vectors run along rows and images, a convolution is a sum of
shifted planes, and a whole residual block is one operator forward and one backward.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

from torch import nn

from dsad_training.native import block, layers
from dsad_training.native.library import kernels
from dsad_training.networks.residual import ResidualBlock


def use_kernels(network: nn.Module) -> list[nn.Module]:
    """Let the compiled kernels run the residual blocks and layers of ``network`` that they know; returns these.

    Values, parameters and names stay. A module runs as before wherever the kernels cannot take its place: in another
    precision or on another device, under autocast, while it is traced; a block also while something hangs on a
    module inside it, and in eval mode where a gradient is wanted.
    """
    if kernels() is None:
        return []
    taken: list[nn.Module] = []
    inside: set[nn.Module] = set()
    forward: Callable[..., Any] | None
    for module in network.modules():
        if module in inside:
            continue
        if type(module) is ResidualBlock and block.fits(module):
            forward = block.forward
            inside.update(module.modules())
        else:
            forward = layers.forward_of(module)
        if forward is not None:
            module.forward = MethodType(forward, module)
            taken.append(module)
    return taken
