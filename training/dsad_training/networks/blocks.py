"""Building blocks the three networks share.

Every operation that the paper's cost convention counts (pooling, ReLU, upsampling) is an ``nn.Module``,
so that :mod:`dsad_training.cost` sees it.
"""

import torch
from torch import Tensor, nn


def up(factor: float, align_corners: bool = True) -> nn.Upsample:
    """Bilinear resize by ``factor``."""
    return nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=align_corners)


class ChannelAttention(nn.Module):
    """CBAM channel attention: a gate (N,C,1,1) in (0,1) from global mean and maximum.

    Args:
        channels: C.
        ratio: reduction of the shared two-layer perceptron. Its hidden width is ``max(1, C // ratio)``:
            the published code takes ``C // ratio`` and fails for C < ratio.
    """

    def __init__(self, channels: int, ratio: int = 16):
        super().__init__()
        hidden = max(1, channels // ratio)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.max = nn.AdaptiveMaxPool2d(1)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(), nn.Conv2d(hidden, channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.mlp(self.mean(x)) + self.mlp(self.max(x)))


class SpatialAttention(nn.Module):
    """CBAM spatial attention: a map (N,1,H,W) in (0,1) from the mean and maximum over channels."""

    def __init__(self, kernel: int = 7):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        summary = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return torch.sigmoid(self.conv(summary))
