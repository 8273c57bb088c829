"""The residual block of all three networks, with the attention that each of them puts into it."""

from typing import Literal

from torch import Tensor, nn

from dsad_training.networks.blocks import ChannelAttention, SpatialAttention

Attention = Literal["cbam", "none"]


class ResidualBlock(nn.Module):
    """conv3-BN-ReLU-conv3-BN, attention, plus the shortcut, ReLU: (N,cin,H,W) -> (N,cout,H,W).

    Args:
        attention: ``cbam`` gates by channel, then by place; ``none`` leaves the features alone.
        ratio: reduction of the channel attention.
        kernel: side of the spatial attention's convolution.
    """

    def __init__(self, cin: int, cout: int, attention: Attention = "cbam", ratio: int = 16, kernel: int = 7):
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
        self.channel = ChannelAttention(cout, ratio) if attention == "cbam" else None
        self.spatial = SpatialAttention(kernel) if attention == "cbam" else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.channel is not None:
            y = self.channel(y) * y
        if self.spatial is not None:
            y = self.spatial(y) * y
        return self.relu(y + self.shortcut(x))
