"""Distillation of the leading singular vectors (Lee, Kim and Song, ECCV 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsad_training.distillers.base import Distiller
from dsad_training.distillers.trace import Trace

#: Width of the radial basis function; vectors have unit mean square.
SIGMA = 2.0


class KDSVD(Distiller):
    """How neighbouring taps relate, seen through the leading left singular vectors of each.

    A feature, pooled to a common grid of P places, is a matrix (P,C). The student's vectors take the signs of
    the teacher's. The relation of two neighbouring taps is exp(-(u_i - v_j)^2 / (2 sigma^2)) at each place
    for each pair of vectors; the loss is its mean squared difference, summed over the neighbours.

    Args:
        vectors: how many; at most the least number of channels.
        grid: side of the common grid.

    The gradient of singular vectors is unbounded where two singular values meet, which happens for dead
    channels: what is not finite is replaced by zero.
    """

    default_weight = 10.0

    def __init__(
        self, student: Trace, teacher: Trace, teacher_network: nn.Module, vectors: int = 1, grid: int = 16
    ):
        super().__init__(student, teacher, teacher_network)
        fewest = min(feature.shape[1] for feature in (*student.features, *teacher.features))
        if len(student.features) < 2 or not 1 <= vectors <= fewest:
            raise ValueError(f"KDSVD needs two taps, and from 1 to {fewest} vectors, not {vectors}")
        self.vectors, self.grid = vectors, grid

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        loss, previous = 0.0, None
        for mine, theirs in zip(student.features, teacher.features):
            if mine.requires_grad:
                mine.register_hook(lambda gradient: torch.nan_to_num(gradient, 0.0, 0.0, 0.0))
            t = self._singular(theirs)
            s = self._singular(mine)
            s = s * torch.where((s * t).sum(1, keepdim=True) < 0, -1.0, 1.0)
            if previous is not None:
                loss = loss + F.mse_loss(relation(previous[0], s), relation(previous[1], t))
            previous = s, t
        return loss

    def _singular(self, feature: Tensor) -> Tensor:
        matrix = F.adaptive_avg_pool2d(feature, self.grid).flatten(2).transpose(1, 2)
        left, _, _ = torch.linalg.svd(matrix, full_matrices=False)
        return left[:, :, : self.vectors] * self.grid


def relation(u: Tensor, v: Tensor) -> Tensor:
    """(N,P,k) and (N,P,k) -> (N,P,k,k) in (0,1]."""
    return torch.exp(-(u[..., :, None] - v[..., None, :]).square() / (2 * SIGMA**2))
