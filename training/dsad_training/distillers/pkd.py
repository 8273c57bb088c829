"""Distillation by the Pearson correlation (Cao et al., NeurIPS 2022)."""

from typing import Any

from torch import Tensor

from dsad_training.distillers.base import Distiller, adapters, fit, standardise
from dsad_training.distillers.trace import Trace
from dsad_training.networks.network import Network

#: Infrared backgrounds are flat: whole channels may be constant in a batch.
EPS = 1e-6


class PKD(Distiller):
    """Half the mean squared difference of features standardised per channel over (N,H,W); sum over taps.

    Up to a constant this is one minus the Pearson correlation of each channel.
    """

    default_weight = 2.0

    def __init__(self, student: Trace, teacher: Trace, teacher_network: Network):
        super().__init__(student, teacher, teacher_network)
        self.adapters = adapters(student, teacher)

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        loss: Any = 0.0
        for adapter, mine, theirs in zip(self.adapters, student.features, teacher.features):
            difference = standardise(fit(adapter(mine), theirs), eps=EPS) - standardise(theirs, eps=EPS)
            loss = loss + difference.square().mean() / 2
        return loss
