"""Knowledge distillation of the outputs (Hinton et al., 2015)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dsad_training.distillers.base import Distiller
from dsad_training.distillers.trace import Trace
from dsad_training.networks.network import Network

#: How the divergence of the pixels becomes one number.
Pixels = Literal["balanced", "all"]


class KD(Distiller):
    """T^2 times the Kullback-Leibler divergence of the softened predictions, mean over the heads.

    A softmax over one channel is constant, and the loss would be exactly zero: each pixel is a Bernoulli variable
    instead, through the sigmoid.

    Args:
        temperature: T.
        pixels: ``balanced`` gives half of the weight to what the teacher calls target (p > 0.5) and half to the rest;
            ``all`` is the mean over all pixels, of which targets are a thousandth, so that it hardly teaches them.
    """

    default_weight = 1.0

    def __init__(
        self,
        student: Trace,
        teacher: Trace,
        teacher_network: Network,
        temperature: float = 1.0,
        pixels: Pixels = "balanced",
    ):
        super().__init__(student, teacher, teacher_network)
        if len(student.outputs) != len(teacher.outputs):
            raise ValueError("student and teacher have different numbers of outputs")
        self.temperature, self.pixels = temperature, pixels

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        losses = [
            divergence(mine.float() / self.temperature, theirs.float() / self.temperature, self.pixels)
            for mine, theirs in zip(student.outputs, teacher.outputs)
        ]
        return self.temperature**2 * torch.stack(losses).mean()


def divergence(logits: Tensor, teacher_logits: Tensor, pixels: Pixels = "balanced") -> Tensor:
    """KL(teacher || student) over the pixels as one number."""
    each = bernoulli_divergence(logits, teacher_logits)
    if pixels == "all":
        return each.mean()
    target = (teacher_logits > 0).float()
    parts = [(mask * each).sum() / mask.sum().clamp(min=1) for mask in (target, 1 - target)]
    return (parts[0] + parts[1]) / 2


def bernoulli_divergence(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(teacher || student) of each pixel, from logits; never below zero but for rounding."""
    p = torch.sigmoid(teacher_logits)
    cross = F.binary_cross_entropy_with_logits(logits, p, reduction="none")
    entropy = F.binary_cross_entropy_with_logits(teacher_logits, p, reduction="none")
    return cross - entropy
