"""AMFU-Net (Chung et al., Remote Sensing 2022): full-scale skips, one attention for all decoder levels."""

from typing import Any

import torch
from torch import Tensor, nn

from dsad_training.networks.dsa import DsaOptions
from dsad_training.networks.layers import conv_bn_relu, up
from dsad_training.networks.network import Network
from dsad_training.networks.residual import ChannelAttention, ResidualBlock, Spatial, spatial_attention

LEVELS = 5
INPUT_CHANNELS = 3


class AMFUNet(Network):
    """Infrared image -> six target logits, each (N,1,H,W): coarse to fine, then their mean, the prediction.

    Args:
        width: channels of the first level; level i has width * 2^i.
        spatial: spatial attention of the residual blocks, after CBAM's channel attention.
        dsa: options of the spatial attention ``dsa``.

    The image is (N,1,H,W), replicated to the paper's three input channels, or (N,3,H,W). H and W are
    multiples of 16.
    """

    #: Decoder outputs D4 to D0, coarse to fine: what distillers look at.
    taps = ("encoder.4", "decoder.3", "decoder.2", "decoder.1", "decoder.0")
    #: Modules whose outputs :meth:`fuse` makes the prediction from: those that enter the last full-scale fusion.
    fusion_taps = ("encoder.4", "decoder.3", "decoder.2", "decoder.1", "encoder.0")
    #: Blocks that read the image itself.
    image_blocks = ("encoder.0",)
    #: Whether ``forward`` takes a blurred copy of the image too.
    two_views = False
    size_multiple = 16

    def __init__(self, width: int = 16, spatial: Spatial = "cbam", dsa: DsaOptions = DsaOptions()):
        super().__init__()
        self.input_channels = INPUT_CHANNELS
        channels = [width << level for level in range(LEVELS)]
        united = LEVELS * width
        self.pool = nn.MaxPool2d(2)

        def block(cin: int, cout: int) -> ResidualBlock:
            return ResidualBlock(cin, cout, ChannelAttention(cout, 8), spatial_attention(spatial, 3, dsa))

        self.encoder = nn.ModuleList(block(a, b) for a, b in zip([INPUT_CHANNELS, *channels], channels))
        self.skips = nn.ModuleList()
        for level in range(LEVELS - 1):
            taps = nn.ModuleList()
            for source in range(LEVELS):
                resize: nn.Module
                if source < level:
                    resize = nn.MaxPool2d(2 ** (level - source), ceil_mode=True)
                elif source == level:
                    resize = nn.Identity()
                else:
                    resize = up(2 ** (source - level), align_corners=False)
                cin = channels[source] if source <= level or source == LEVELS - 1 else united
                taps.append(nn.Sequential(resize, conv_bn_relu(cin, width)))
            self.skips.append(taps)
        # One module for all decoder levels, weights and statistics alike.
        self.attention = block(united, united)
        self.decoder = nn.ModuleList(conv_bn_relu(united, united) for _ in range(LEVELS - 1))
        head_inputs = [united] * (LEVELS - 1) + [channels[-1]]
        self.heads = nn.ModuleList(nn.Conv2d(cin, 1, 3, padding=1) for cin in head_inputs)
        self.enlarge = nn.ModuleList(
            up(2**level, align_corners=False) if level else nn.Identity() for level in range(LEVELS)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        h: list[Tensor] = []
        for level, stage in enumerate(self.encoder):
            h.append(stage(self.pool(h[-1]) if level else image.expand(-1, self.input_channels, -1, -1)))
        d = {LEVELS - 1: h[-1]}
        for level in range(LEVELS - 2, 0, -1):
            d[level] = self._decode(level, [h[i] if i <= level else d[i] for i in range(LEVELS)])
        return self._finish([*d.values(), h[0]])

    def fuse(self, features: list[Tensor]) -> Tensor:
        """The prediction from the outputs of ``fusion_taps``: the finest decoder level, heads, their mean."""
        return self._finish(features)[-1]

    def _decode(self, level: int, sources: list[Tensor]) -> Tensor:
        """A decoder level from the encoder's features down to its own level and the decoder's below, fine first."""
        taps: Any = self.skips[level]
        united = torch.cat([tap(source) for tap, source in zip(taps, sources)], 1)
        return self.decoder[level](self.attention(united))

    def _finish(self, features: list[Tensor]) -> list[Tensor]:
        """All outputs from D4 to D1 and the encoder's finest feature."""
        *decoded, finest = features
        decoded = [*decoded, self._decode(0, [finest, *decoded[::-1]])]
        outputs = [self.enlarge[i](self.heads[i](d)) for i, d in zip(range(LEVELS - 1, -1, -1), decoded)]
        return [*outputs, sum(outputs) / LEVELS]
