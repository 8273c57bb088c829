"""DNANet (Li et al., IEEE TIP 2023): a U-Net++ triangle of residual blocks with dense nested interaction.

Node X(i,j) lies on level i (resolution 1/2^i) and column j, i + j <= 4. It sees all earlier nodes of its
level, the next column's level below (upsampled) and its own column's level above (downsampled).
"""

import torch
from torch import Tensor, nn

from dsad_training.networks.dsa import DsaOptions
from dsad_training.networks.layers import up
from dsad_training.networks.network import Network
from dsad_training.networks.residual import ChannelAttention, ResidualBlock, Spatial, spatial_attention

LEVELS = 5
INPUT_CHANNELS = 3


class DNANet(Network):
    """Infrared image -> list of target logits, each (N,1,H,W), the prediction last.

    Args:
        width: channels of the first level (16 for the paper's teacher, 4 for its student); level i has
            width * 2^i.
        spatial: spatial attention of the residual blocks, after CBAM's channel attention.
        dsa: options of the spatial attention ``dsa``.
        deep_supervision: also a head on X(0,1), X(0,2), X(0,3), for training only.

    The image is (N,1,H,W), replicated to the paper's three input channels, or (N,3,H,W). H and W are
    multiples of 16.
    """

    #: Features that feed the pyramid fusion, coarse to fine: what distillers look at.
    taps = ("nodes.x40", "nodes.x31", "nodes.x22", "nodes.x13", "nodes.x04")
    #: Modules whose outputs :meth:`fuse` makes the prediction from: those that enter the pyramid fusion.
    fusion_taps = taps
    #: Blocks that read the image itself.
    image_blocks = ("nodes.x00.0",)
    #: Whether ``forward`` takes a blurred copy of the image too.
    two_views = False
    size_multiple = 16

    def __init__(
        self,
        width: int = 16,
        spatial: Spatial = "cbam",
        dsa: DsaOptions = DsaOptions(),
        deep_supervision: bool = True,
    ):
        super().__init__()

        def block(cin: int, cout: int) -> ResidualBlock:
            return ResidualBlock(cin, cout, ChannelAttention(cout, 16), spatial_attention(spatial, 7, dsa))

        self.input_channels = INPUT_CHANNELS
        channels = [width << level for level in range(LEVELS)]
        self.pool = nn.MaxPool2d(2)
        self.up2, self.down2 = up(2), up(0.5)
        self.nodes = nn.ModuleDict()
        for i, j in triangle():
            cin = INPUT_CHANNELS if i == 0 else channels[i - 1]
            if j:
                cin = j * channels[i] + channels[i + 1] + (channels[i - 1] if i else 0)
            blocks = [block(cin, channels[i])]
            if i:
                blocks.append(block(channels[i], channels[i]))
            self.nodes[f"x{i}{j}"] = nn.Sequential(*blocks)
        # Coarse to fine: X(4,0), X(3,1), X(2,2), X(1,3).
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels[i], width, 1), up(2**i)) for i in range(LEVELS - 1, 0, -1)
        )
        self.fusion = block(LEVELS * width, width)
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in range(4 if deep_supervision else 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        x: dict[tuple[int, int], Tensor] = {}
        for i, j in triangle():
            if j == 0:
                inputs = self.pool(x[i - 1, 0]) if i else image.expand(-1, self.input_channels, -1, -1)
            else:
                parts = [x[i, k] for k in range(j)] + [self.up2(x[i + 1, j - 1])]
                if i:
                    parts.append(self.down2(x[i - 1, j]))
                inputs = torch.cat(parts, 1)
            x[i, j] = self.nodes[f"x{i}{j}"](inputs)
        prediction = self.fuse([x[i, LEVELS - 1 - i] for i in range(LEVELS - 1, -1, -1)])
        supervised = [x[0, 1], x[0, 2], x[0, 3]] if len(self.heads) > 1 else []
        return [*(head(feature) for head, feature in zip(self.heads, supervised)), prediction]

    def fuse(self, features: list[Tensor]) -> Tensor:
        """The prediction from the outputs of ``fusion_taps``: laterals, pyramid fusion, last head."""
        *coarse, fine = features
        pyramid = [lateral(feature) for lateral, feature in zip(self.laterals, coarse)]
        return self.heads[-1](self.fusion(torch.cat([*pyramid, fine], 1)))


def triangle() -> list[tuple[int, int]]:
    """Nodes (i,j) in the order of evaluation: anti-diagonals, each from its lowest level upwards."""
    return [(i, diagonal - i) for diagonal in range(LEVELS) for i in range(diagonal, -1, -1)]
