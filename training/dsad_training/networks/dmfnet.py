"""DMFNet: two encoders that may see the image in two ways, fused with the decoder level by level."""

from typing import Any

import torch
from torch import Tensor, nn

from dsad_training.networks.dsa import DsaOptions
from dsad_training.networks.layers import up
from dsad_training.networks.network import Network
from dsad_training.networks.residual import ResidualBlock, Spatial, spatial_attention

INPUT_CHANNELS = 3
#: The paper's fusion normalises with statistics of the last few batches.
FUSION_MOMENTUM = 0.9


class DMFNet(Network):
    """Infrared image -> list with one target logit map (N,1,H,W).

    Args:
        width: channels of the first level, an even number of 4 or more (the last level's normalisation has
            32 groups of ``8 * width`` channels).
        spatial: spatial attention of the residual blocks; the paper's network has ``none``.
        dsa: options of the spatial attention ``dsa``.

    ``forward(image, blurred)``: the published training gives the first encoder a blurred copy; without it
    both encoders see the image. (N,1,H,W), replicated to the paper's three input channels, or (N,3,H,W).
    H and W are multiples of 8. In training N is at least 2.
    """

    #: Multi-scale bottleneck and decoder outputs, coarse to fine: what distillers look at.
    taps = ("scales", "decoder.3", "decoder.2", "decoder.1", "decoder.0")
    #: Modules whose outputs :meth:`fuse` makes the prediction from: the decoder's, coarse to fine, and, in the same
    #: order, both encoders' that are fused with them.
    fusion_taps = taps + tuple(f"encoders.{encoder}.{i}" for encoder in (0, 1) for i in (3, 2, 1, 0))
    #: Blocks that read the image itself.
    image_blocks = ("encoders.0.0.0", "encoders.1.0.0")
    #: Whether ``forward`` takes a blurred copy of the image too.
    two_views = True
    size_multiple = 8

    def __init__(self, width: int = 16, spatial: Spatial = "none", dsa: DsaOptions = DsaOptions()):
        super().__init__()
        self.input_channels = INPUT_CHANNELS
        c = [width << level for level in range(5)]

        def blocks(count: int, cin: int, cout: int) -> nn.Sequential:
            inputs = [cin] + [cout] * (count - 1)
            return nn.Sequential(
                *(ResidualBlock(cin, cout, None, spatial_attention(spatial, 7, dsa)) for cin in inputs)
            )

        self.pool = nn.MaxPool2d(2)
        self.up2 = up(2)
        # Levels 0 and 1 are both at full size, then 1/2, 1/4 and, for the bottleneck, 1/8.
        self.encoders = nn.ModuleList(
            nn.ModuleList([blocks(1, INPUT_CHANNELS, c[0])] + [blocks(2, c[i - 1], c[i]) for i in (1, 2, 3)])
            for _ in range(2)
        )
        self.bottleneck = blocks(2, 2 * c[3], c[4])
        self.scales = MultiScale(c[4])
        self.decoder = nn.ModuleList(blocks(2 if i else 1, c[i + 1] + 2 * c[i], c[i]) for i in range(4))
        self.fusion = nn.ModuleList(Fusion(c[i]) for i in range(4))
        self.relu = nn.ReLU()
        enlarge = [nn.Identity(), nn.Identity(), up(2), up(4), up(8)]
        self.sides = nn.ModuleList(
            nn.Sequential(resize, nn.Conv2d(cin, INPUT_CHANNELS, 1)) for resize, cin in zip(enlarge, c)
        )
        self.head = nn.Conv2d(5 * INPUT_CHANNELS, 1, 1)

    def forward(self, image: Tensor, blurred: Tensor | None = None) -> list[Tensor]:
        views = (image if blurred is None else blurred, image)
        one, two = (self._encode(encoder, view) for encoder, view in zip(self.encoders, views))
        bottom = self.bottleneck(torch.cat([self.pool(one[3]), self.pool(two[3])], 1))
        # The decoder starts from the bottleneck; its multi-scale version only feeds the head.
        lower, decoded = bottom, [self.scales(bottom)]
        for i in (3, 2, 1, 0):
            lower = self.up2(lower) if i else lower
            lower = self.decoder[i](torch.cat([one[i], two[i], lower], 1))
            decoded.append(lower)
        return [self.fuse([*decoded, *one[::-1], *two[::-1]])]

    def fuse(self, features: list[Tensor]) -> Tensor:
        """The prediction from the outputs of ``fusion_taps``: fusion modules, side outputs, head."""
        (scales, *decoded), one, two = features[:5], features[5:9], features[9:]
        sides = [self.sides[4](scales)]
        for i, lower, first, second in zip((3, 2, 1, 0), decoded, one, two):
            fused = self.fusion[i](lower, first, second)
            sides.append(self.sides[i](self.relu(fused + lower)))
        return self.head(torch.cat(sides[::-1], 1))

    def _encode(self, encoder: Any, image: Tensor) -> list[Tensor]:
        x, features = image.expand(-1, self.input_channels, -1, -1), []
        for level, stage in enumerate(encoder):
            x = stage(self.pool(x) if level > 1 else x)
            features.append(x)
        return features


class Fusion(nn.Module):
    """Decoder feature h and both encoders' features, all (N,C,H,W), gate each other crosswise."""

    def __init__(self, channels: int):
        super().__init__()

        def gate() -> nn.Sequential:
            hidden = channels // 4
            return nn.Sequential(
                nn.Conv2d(channels, hidden, 1),
                nn.BatchNorm2d(hidden, momentum=FUSION_MOMENTUM),
                nn.ReLU(),
                nn.Conv2d(hidden, channels, 1),
                nn.BatchNorm2d(channels, momentum=FUSION_MOMENTUM),
                nn.Sigmoid(),
            )

        def post() -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.BatchNorm2d(channels, momentum=FUSION_MOMENTUM),
                nn.ReLU(),
            )

        self.down = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(1), *gate()) for _ in range(2))
        self.along = nn.ModuleList(gate() for _ in range(2))
        # The published code runs both through the first of these and leaves the second untrained, though
        # counted. Using it changes neither parameters nor cost.
        self.post = nn.ModuleList(post() for _ in range(2))
        self.unite = nn.Sequential(nn.BatchNorm2d(channels, momentum=FUSION_MOMENTUM), nn.ReLU())

    def forward(self, h: Tensor, one: Tensor, two: Tensor) -> Tensor:
        united = 0
        for low, down, along, post in zip((one, two), self.down, self.along, self.post):
            united = united + post(2 * low * down(h) + 2 * h * along(low))
        return self.unite(united)


class MultiScale(nn.Module):
    """Bottleneck (N,C,H,W) -> (N,C,H,W), gated by what three dilations see and by channel."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.reduce = nn.Sequential(nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.branches = nn.ModuleList(
            nn.ModuleList(_dilated_unit(half, dilation) for _ in range(3)) for dilation in (1, 2, 4)
        )
        self.unite = nn.Sequential(
            nn.Conv2d(3 * half, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(), nn.Dropout(0.5)
        )
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Sequential(
            nn.Linear(channels, channels // 16, bias=False),
            nn.ReLU(),
            nn.Linear(channels // 16, channels, bias=False),
            nn.Sigmoid(),
        )
        self.after = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()) for _ in range(3))

    def forward(self, m: Tensor) -> Tensor:
        reduced, seen = self.reduce(m), []
        units: Any
        for units in self.branches:
            x = reduced
            for unit in units:
                x = x + unit(x)
            seen.append(x)
        o = self.after[0](m + self.unite(torch.cat(seen, 1)) * m)
        gate = self.squeeze(self.mean(o).flatten(1))[:, :, None, None]
        o = self.after[1](o + o * gate)
        return self.after[2](o + m)


def _dilated_unit(half: int, dilation: int) -> nn.Sequential:
    def conv(cin: int, cout: int) -> nn.Conv2d:
        return nn.Conv2d(cin, cout, 3, padding=dilation, dilation=dilation, bias=False)

    return nn.Sequential(
        nn.BatchNorm2d(half),
        conv(half, 2 * half),
        nn.GroupNorm(32, 2 * half),
        nn.ReLU(),
        nn.BatchNorm2d(2 * half),
        conv(2 * half, half),
        nn.GroupNorm(32, half),
        nn.ReLU(),
    )
