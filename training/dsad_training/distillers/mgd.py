"""Masked generative distillation (Yang et al., ECCV 2022)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsad_training.distillers.base import Distiller, adapters, fit
from dsad_training.distillers.trace import Trace
from dsad_training.networks.network import Network


class MGD(Distiller):
    """Hide places of the student's features; a small generator has to rebuild the teacher's from the rest.

    The published weights stand before a sum over a detector's features; none is published for maps of one network.

    Args:
        mask_ratio: share of the places that are hidden.
    """

    def __init__(self, student: Trace, teacher: Trace, teacher_network: Network, mask_ratio: float = 0.5):
        super().__init__(student, teacher, teacher_network)
        self.mask_ratio = mask_ratio
        self.adapters = adapters(student, teacher)
        self.generators = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1))
            for c in (feature.shape[1] for feature in teacher.features)
        )

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        loss: Any = 0.0
        for adapter, generator, mine, theirs in zip(
            self.adapters, self.generators, student.features, teacher.features
        ):
            feature = fit(adapter(mine), theirs)
            seen = torch.rand_like(feature[:, :1]) >= self.mask_ratio
            loss = loss + F.mse_loss(generator(feature * seen), theirs)
        return loss
