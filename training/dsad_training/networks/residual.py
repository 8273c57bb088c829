"""The residual block of all three networks and the attention modules that sit in it."""

from typing import Literal

import torch
from torch import Tensor, nn

from dsad_training.networks.dsa import DsaOptions, directional_attention

#: Spatial attention of the residual blocks: CBAM's, the paper's DSA, or none.
Spatial = Literal["cbam", "dsa", "none"]


class ResidualBlock(nn.Module):
    """conv3-BN-ReLU-conv3-BN, gates, plus the shortcut, ReLU: (N,cin,H,W) -> (N,cout,H,W).

    Args:
        channel, spatial: modules whose outputs multiply the features, in this order, before the sum.
    """

    def __init__(
        self, cin: int, cout: int, channel: nn.Module | None = None, spatial: nn.Module | None = None
    ):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(cin, cout, 3, padding=1),
            nn.BatchNorm2d(cout),
            nn.ReLU(),
            nn.Conv2d(cout, cout, 3, padding=1),
            nn.BatchNorm2d(cout),
        )
        self.shortcut = (
            nn.Identity() if cin == cout else nn.Sequential(nn.Conv2d(cin, cout, 1), nn.BatchNorm2d(cout))
        )
        self.channel, self.spatial = channel, spatial
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.channel is not None:
            y = self.channel(y) * y
        if self.spatial is not None:
            y = self.spatial(y) * y
        return self.relu(y + self.shortcut(x))


class GlobalMaximum(nn.AdaptiveMaxPool2d):
    """Maximum over H and W. On a GPU torch's own pooling reads a plane by one thread; a reduction does not."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.device.type == "cpu" else x.amax((2, 3), keepdim=True)


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
        self.max = GlobalMaximum(1)
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


def spatial_attention(kind: Spatial, kernel: int, dsa: DsaOptions) -> nn.Module | None:
    """The gate that goes into a residual block; ``kernel`` is the side of CBAM's convolution."""
    if kind == "cbam":
        return SpatialAttention(kernel)
    return directional_attention(dsa) if kind == "dsa" else None
