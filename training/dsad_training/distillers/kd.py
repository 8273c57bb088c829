"""Knowledge distillation of the outputs (Hinton et al., 2015)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsad_training.distillers.base import Distiller
from dsad_training.distillers.trace import Trace


class KD(Distiller):
    """T^2 times the Kullback-Leibler divergence of the softened predictions, mean over pixels.

    A softmax over one channel is constant, and the loss would be exactly zero: each pixel is a Bernoulli
    variable instead, through the sigmoid.

    Args:
        temperature: T. Usual values such as 4 leave every background pixel some probability to argue about, and
            there are hundreds of them for a target pixel: at 4, weights 1 and 10, a DNANet num4 (one seed) had no
            pixel above 0.5 on its validation images.
    """

    default_weight = 2.0

    def __init__(self, student: Trace, teacher: Trace, teacher_network: nn.Module, temperature: float = 1.0):
        super().__init__(student, teacher, teacher_network)
        self.temperature = temperature

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        mine = student.outputs[-1].float() / self.temperature
        theirs = teacher.outputs[-1].float() / self.temperature
        return self.temperature**2 * bernoulli_divergence(mine, theirs).mean()


def bernoulli_divergence(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(teacher || student) of each pixel, from logits; never below zero but for rounding."""
    p = torch.sigmoid(teacher_logits)
    cross = F.binary_cross_entropy_with_logits(logits, p, reduction="none")
    entropy = F.binary_cross_entropy_with_logits(teacher_logits, p, reduction="none")
    return cross - entropy
