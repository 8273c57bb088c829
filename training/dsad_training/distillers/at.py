"""Attention transfer (Zagoruyko and Komodakis, 2017)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from dsad_training.distillers.base import Distiller, fit
from dsad_training.distillers.trace import Trace


class AT(Distiller):
    """Sum over taps of |Q_S - Q_T|^2, Q the mean over channels of |F|^2 as a unit vector over the pixels.

    The published weight of 1000 stands before a mean over pixels, which for maps of 32x32 is this sum at 1. It is
    weaker than published on smaller maps and stronger on larger ones.
    """

    default_weight = 1.0

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        loss: Any = 0.0
        for mine, theirs in zip(student.features, teacher.features):
            difference = attention(fit(mine, theirs)) - attention(theirs)
            loss = loss + difference.square().sum(1).mean()
        return loss


def attention(feature: Tensor) -> Tensor:
    """(N,C,H,W) -> (N,H*W), of unit length."""
    return F.normalize(feature.square().mean(1).flatten(1))
