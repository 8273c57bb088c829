"""Plain layers. What the cost convention counts is a module, so that :mod:`dsad_training.cost` sees it."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bilinear(nn.Upsample):
    """Bilinear resize of (N,C,H,W) by a factor.

    On a CPU torch's own bfloat16 kernel is several times slower than two products with interpolation
    matrices, forward and backward. They differ by the rounding of the weights to bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.bfloat16 or x.device.type != "cpu":
            return super().forward(x)
        rows, columns = (
            interpolation(length, self.scale_factor, self.align_corners, x.dtype) for length in x.shape[2:]
        )
        return rows @ (x @ columns.t())


@lru_cache(maxsize=64)
def interpolation(length: int, factor: float, align_corners: bool, dtype: torch.dtype) -> Tensor:
    """Matrix (length * factor, length) of the linear resize along one axis; its rows sum to 1."""
    identity = torch.eye(length)[None]
    matrix = F.interpolate(identity, scale_factor=factor, mode="linear", align_corners=align_corners)
    return matrix[0].t().contiguous().to(dtype)


def up(factor: float, align_corners: bool = True) -> Bilinear:
    """Bilinear resize by ``factor``."""
    return Bilinear(scale_factor=factor, mode="bilinear", align_corners=align_corners)


def conv_bn_relu(cin: int, cout: int) -> nn.Sequential:
    """conv3 with bias, BatchNorm, ReLU."""
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU())
