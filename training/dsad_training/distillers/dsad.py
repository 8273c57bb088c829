"""DSAD, the paper's own method (sections 3.3 to 3.5, equation 12)."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsad_training.distillers.base import Distiller, adapters, fit, standardise
from dsad_training.distillers.trace import Trace
from dsad_training.networks.dsa import Base, DsaOptions, Padding, Sign, directional_attention
from dsad_training.networks.network import Network

#: Channels that vary less than this share of their feature's channels are not blown up to unit deviation.
FLOOR = 0.01


class DSAD(Distiller):
    """Squared difference of the standardised features, weighted where the teacher's features hold targets.

    Sum over taps of mean over (N,C,H,W) of M(F_T) * (Gauss(F_T) - Gauss(F_S))^2. The paper divides by H*W
    only and leaves open how features of different channel counts are subtracted.

    The three maps of Table 4 have means of about 0.5 (dsa), 0.85 (sa) and 1 (ones), and DSA's share of targets is
    small: taken literally the table compares three strengths of the loss. Divided by their means they compare where
    the loss looks.

    Args:
        weights: the map M. ``dsa``; ``sa``, CBAM's spatial attention with a fixed mean filter, since a
            trained one would learn to weigh nothing; ``ones``. These are the rows of the paper's Table 4.
        scale: ``mean_one`` divides M by its mean over the batch; ``literal`` takes it as the paper writes it.
        channels: ``adapter``, a 1x1 convolution to the teacher's channels; ``mean``, compare channel means.
        base, sign, padding: see :class:`DsaOptions`; the default base is fixed.
    """

    default_weight = 2.0
    published_weight = True

    def __init__(
        self,
        student: Trace,
        teacher: Trace,
        teacher_network: Network,
        weights: Literal["dsa", "sa", "ones"] = "dsa",
        scale: Literal["mean_one", "literal"] = "mean_one",
        channels: Literal["adapter", "mean"] = "adapter",
        base: Base = "zero_sum",
        sign: Sign = "literal",
        padding: Padding = "replicate",
    ):
        super().__init__(student, teacher, teacher_network)
        self.scale = scale
        self.adapters = adapters(student, teacher) if channels == "adapter" else None
        self.attention = {
            "dsa": directional_attention(DsaOptions(base, sign, padding)),
            "sa": MeanSpatialAttention(),
            "ones": None,
        }[weights]
        if self.attention is not None:
            self.attention.requires_grad_(False)

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        loss: Any = 0.0
        for tap, (mine, theirs) in enumerate(zip(student.features, teacher.features)):
            weight: Any = 1.0 if self.attention is None else self.attention(theirs)
            if self.attention is not None and self.scale == "mean_one":
                weight = weight / weight.mean()
            if self.adapters is None:
                mine, theirs = mine.mean(1, keepdim=True), theirs.mean(1, keepdim=True)
            else:
                mine = self.adapters[tap](mine)
            difference = standardise(theirs, FLOOR) - standardise(fit(mine, theirs), FLOOR)
            loss = loss + (weight * difference.square()).mean()
        return loss


class MeanSpatialAttention(nn.Module):
    """CBAM's spatial attention with all taps alike: (N,C,H,W) -> (N,1,H,W) in (0,1)."""

    def forward(self, x: Tensor) -> Tensor:
        summary = x.mean(1, keepdim=True) + x.amax(1, keepdim=True)
        return torch.sigmoid(F.avg_pool2d(summary, 7, stride=1, padding=3, count_include_pad=False))
