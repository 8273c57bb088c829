"""What all distillers share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsad_training.distillers.trace import Trace
from dsad_training.networks.network import Network


class Distiller(nn.Module):
    """Loss of a student's pass against its teacher's pass on the same images.

    Args:
        student, teacher: one pass of each, for the shapes.
        teacher_network: frozen; only a distiller that runs a part of it keeps it.

    ``forward(student, teacher)`` is a scalar; only the student's trace carries a gradient.
    """

    #: Weight beside the task loss where the recipe gives none.
    default_weight = 1.0
    #: Whether that weight is the one of the method's paper, which holds for maps as it stands; else it is ours.
    published_weight = False
    #: Whether the traces have to hold what enters the networks' fusion.
    needs_entering = False

    def __init__(self, student: Trace, teacher: Trace, teacher_network: Network):
        super().__init__()

    def forward(self, student: Trace, teacher: Trace) -> Tensor:
        raise NotImplementedError


def adapters(student: Trace, teacher: Trace) -> nn.ModuleList:
    """One bias-free 1x1 convolution from the student's to the teacher's channels for each tap."""
    return nn.ModuleList(map(one_by_one, student.features, teacher.features))


def one_by_one(mine: Tensor, theirs: Tensor) -> nn.Conv2d:
    """The adapter for one pair of features."""
    return nn.Conv2d(mine.shape[1], theirs.shape[1], 1, bias=False)


def fit(feature: Tensor, like: Tensor) -> Tensor:
    """The paper's equation 1: bilinear resize to the height and width of ``like``, where they differ."""
    if feature.shape[2:] == like.shape[2:]:
        return feature
    return F.interpolate(feature, size=like.shape[2:], mode="bilinear", align_corners=False)


def embed(feature: Tensor, grid: int = 4) -> Tensor:
    """(N,C,H,W) -> (N, C * grid^2): means over a coarse grid, for losses that compare whole images."""
    return F.adaptive_avg_pool2d(feature, grid).flatten(1)


def standardise(feature: Tensor, floor: float = 0.0, eps: float = 1e-9) -> Tensor:
    """Zero mean and unit deviation per channel over (N,H,W) (the paper's equations 8 to 10), fp32.

    Args:
        floor: smallest deviation a channel is divided by, as a share of the root mean square deviation of the
            feature's channels. A channel that hardly varies beside its fellows holds rounding noise, and
            dividing by its tiny deviation would turn it into gradients a thousand times larger than the rest.
            Being relative, the floor keeps the loss independent of the feature's scale and offset.
    """
    feature = feature.float()
    centred = feature - feature.mean((0, 2, 3), keepdim=True)
    variance = centred.square().mean((0, 2, 3), keepdim=True)
    if floor:
        variance = variance.clamp(min=floor**2 * variance.detach().mean())
    return centred / torch.sqrt(variance + eps)
