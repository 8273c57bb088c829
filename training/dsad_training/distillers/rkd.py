"""Relational knowledge distillation (Park et al., CVPR 2019)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dsad_training.distillers.base import Distiller, embed
from dsad_training.distillers.trace import Trace
from dsad_training.networks.network import Network


class RKD(Distiller):
    """25 times the distances plus 50 times the angles between the images of a batch, mean over taps.

    Images are points: features pooled to a coarse grid. Distances are relative to their mean. Needs a batch
    of 3 or more for angles. 25 and 50 are published for one embedding beside a classifier's loss; for maps no weight
    is, and the one before their sum is ours.
    """

    default_weight = 0.1

    def __init__(
        self,
        student: Trace,
        teacher: Trace,
        teacher_network: Network,
        distance: float = 25.0,
        angle: float = 50.0,
    ):
        super().__init__(student, teacher, teacher_network)
        self.distance, self.angle = distance, angle

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        loss: Any = 0.0
        for mine, theirs in zip(student.features, teacher.features):
            s, t = embed(mine), embed(theirs)
            loss = loss + self.distance * F.smooth_l1_loss(distances(s), distances(t))
            loss = loss + self.angle * F.smooth_l1_loss(angles(s), angles(t))
        return loss / len(student.features)


def distances(points: Tensor) -> Tensor:
    """(N,D) -> the N(N-1)/2 distances divided by their mean."""
    d = F.pdist(points)
    return d / d.mean().clamp(min=1e-12)


def angles(points: Tensor) -> Tensor:
    """(N,D) -> cosine of the angle at j between i and k for every i, j, k."""
    step = F.normalize(points[None] - points[:, None], dim=2)
    return torch.einsum("jid,jkd->jik", step, step)
