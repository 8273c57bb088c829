"""Correlation congruence (Peng et al., ICCV 2019)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dsad_training.distillers.base import Distiller, embed
from dsad_training.distillers.trace import Trace
from dsad_training.networks.network import Network


class CCKD(Distiller):
    """How alike the images of a batch are to each other, for student and teacher; mean over taps.

    The Gram form: K_ij = exp(-gamma |x_i - x_j|^2) of the pooled features as unit vectors, in closed form
    instead of the paper's Taylor series. The loss is the mean squared difference of the matrices. Needs a
    batch of 2 or more. No weight is published for maps.
    """

    default_weight = 10.0

    def __init__(self, student: Trace, teacher: Trace, teacher_network: Network, gamma: float = 0.4):
        super().__init__(student, teacher, teacher_network)
        self.gamma = gamma

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        losses = [
            F.mse_loss(self._correlation(mine), self._correlation(theirs))
            for mine, theirs in zip(student.features, teacher.features)
        ]
        return torch.stack(losses).mean()

    def _correlation(self, feature: Tensor) -> Tensor:
        x = F.normalize(embed(feature))
        return torch.exp(-2 * self.gamma * (1 - x @ x.T))
