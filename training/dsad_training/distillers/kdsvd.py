"""Distillation of the leading singular vectors, a variant of KDSVD (Lee, Kim and Song, ECCV 2018)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dsad_training.distillers.base import Distiller
from dsad_training.distillers.trace import Trace
from dsad_training.networks.network import Network

#: Width of the radial basis function; vectors have unit mean square.
SIGMA = 2.0


class KDSVD(Distiller):
    """How neighbouring taps relate, seen through the leading left singular vector of each.

    A variant: the published loss compares right singular vectors, scaled by their singular values, which needs as many
    channels in the student as in the teacher. Here the student has a quarter of them. Left vectors live on the
    pixels, which both share, and are taken without their values.

    A feature, pooled to a common grid of P places, is a matrix (P,C). The student's vector takes the sign of the
    teacher's. The relation of two neighbouring taps is exp(-(u - v)^2 / (2 sigma^2)) at each place; the loss is its
    mean squared difference, summed over the neighbours.

    Args:
        grid: side of the common grid.
    """

    default_weight = 10.0

    def __init__(self, student: Trace, teacher: Trace, teacher_network: Network, grid: int = 16):
        super().__init__(student, teacher, teacher_network)
        if len(student.features) < 2:
            raise ValueError("KDSVD needs two taps or more")
        self.grid = grid

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        loss: Any = 0.0
        previous = None
        for mine, theirs in zip(student.features, teacher.features):
            t = self._singular(theirs)
            s = self._singular(mine)
            s = s * torch.where((s * t).sum(1, keepdim=True) < 0, -1.0, 1.0)
            if previous is not None:
                loss = loss + F.mse_loss(relation(previous[0], s), relation(previous[1], t))
            previous = s, t
        return loss

    def _singular(self, feature: Tensor) -> Tensor:
        matrix = F.adaptive_avg_pool2d(feature, self.grid).flatten(2).transpose(1, 2)
        return leading_left_vector(matrix) * self.grid


def leading_left_vector(matrix: Tensor, settle: int = 12, steps: int = 4) -> Tensor:
    """(N,P,C) -> (N,P), of unit length, zero for a matrix of zeros; by power iteration.

    The gradient goes back through the last ``steps`` iterations alone. It is bounded where two singular values meet,
    unlike that of a full decomposition, which no graph of kernels can hold either.
    """
    with torch.no_grad():
        vector = F.normalize(matrix.sum(2), dim=1, eps=1e-6)
        for _ in range(settle):
            vector = _iterate(matrix, vector)
    for _ in range(steps):
        vector = _iterate(matrix, vector)
    return vector


def _iterate(matrix: Tensor, vector: Tensor) -> Tensor:
    product = matrix @ (matrix.transpose(1, 2) @ vector[:, :, None])
    return F.normalize(product.squeeze(2), dim=1, eps=1e-6)


def relation(u: Tensor, v: Tensor) -> Tensor:
    """(N,P) and (N,P) -> (N,P) in (0,1]."""
    return torch.exp(-(u - v).square() / (2 * SIGMA**2))
