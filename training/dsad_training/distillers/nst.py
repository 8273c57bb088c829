"""Neuron selectivity transfer (Huang and Wang, 2017)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from dsad_training.distillers.base import Distiller, fit
from dsad_training.distillers.trace import Trace


class NST(Distiller):
    """Sum over taps of the squared maximum mean discrepancy between the channels of student and teacher.

    A channel is its map as a unit vector over the pixels, the kernel is (a . b)^2. Channel counts may differ.
    """

    default_weight = 50.0
    published_weight = True

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        loss: Any = 0.0
        for mine, theirs in zip(student.features, teacher.features):
            s, t = F.normalize(fit(mine, theirs).flatten(2), dim=2), F.normalize(theirs.flatten(2), dim=2)
            loss = loss + kernel_mean(t, t) + kernel_mean(s, s) - 2 * kernel_mean(s, t)
        return loss


def kernel_mean(a: Tensor, b: Tensor) -> Tensor:
    """Mean of (a_i . b_j)^2 over images and pairs of channels; (N,C,P) and (N,D,P)."""
    return (a @ b.transpose(1, 2)).square().mean()
