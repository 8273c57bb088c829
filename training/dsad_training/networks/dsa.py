"""Directional contrast spatial attention (DSA), the paper's section 3.3 and equations 2 to 7.

Eight arms of three pixels leave the centre at multiples of 45 degrees. The contrast along an axis is the
squared difference of the responses of its two opposite arms; the smallest contrast of the four axes, through
a sigmoid, is the weight of the pixel. A small target differs from its surroundings along all axes, an edge
along all but its own.
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Unit steps (dy, dx) of the arms at 0, 45, 90, 135 degrees; the other four are their opposites.
DIRECTIONS = ((0, 1), (-1, 1), (-1, 0), (-1, -1))
ARM = 3
SIDE = 2 * ARM + 1

#: The only symmetric 3x3 base, up to scale, whose arms are blind to a constant (and then each pair of them,
#: being even, to a ramp): interpolated to 7x7 and balanced, they read 1/2, 0, -1/2 straight and 1/2, -1/3,
#: -1/6 diagonally.
ZERO_SUM = ((-1 / 14, -1 / 2, -1 / 14), (-1 / 2, 1.0, -1 / 2), (-1 / 14, -1 / 2, -1 / 14))

Base = Literal["zero_sum", "ones", "learnable"]
Sign = Literal["literal", "same"]
Padding = Literal["replicate", "zeros"]


@dataclass(frozen=True)
class DsaOptions:
    """What the paper leaves open.

    Attributes:
        base: ``zero_sum``, balanced, and ``ones``, as it stands, are fixed; ``learnable`` starts from
            zero_sum and trains base and masks (410 numbers, which the paper's parameter counts imply).
        sign: ``literal`` gives opposite arms opposite signs, so that the difference of their responses adds
            both arms; ``same`` subtracts one arm from the other.
        padding: what lies beyond the border.
    """

    base: Base = "learnable"
    sign: Sign = "literal"
    padding: Padding = "replicate"


def arm_masks(sign: Sign = "literal") -> Tensor:
    """Masks m_1 to m_8 of equation 3, (8,1,7,7)."""
    masks = torch.zeros(8, 1, SIDE, SIDE)
    for i, (dy, dx) in enumerate(DIRECTIONS):
        for t in range(1, ARM + 1):
            masks[i, 0, ARM + t * dy, ARM + t * dx] = 1.0
            masks[i + 4, 0, ARM - t * dy, ARM - t * dx] = -1.0 if sign == "literal" else 1.0
    return masks


def balanced(masks: Tensor, base: Tensor) -> Tensor:
    """Masks scaled so that every arm's absolute taps sum to 1: a diagonal arm counts as a straight one."""
    arms = masks * widen(base)
    return masks / arms.abs().sum((2, 3), keepdim=True)[:, :1]


def widen(base: Tensor) -> Tensor:
    """The base (1,2,3,3) interpolated to (1,2,7,7)."""
    return F.interpolate(base, size=(SIDE, SIDE), mode="bilinear", align_corners=True)


def axis_kernels(masks: Tensor, base: Tensor) -> Tensor:
    """One kernel for each axis, (4,2,7,7), from masks (8,1,7,7) and a base (1,2,3,3).

    Convolution is linear, so the difference of opposite arms' responses is the response of the difference of
    their kernels: four convolutions instead of eight.
    """
    kernels = masks * widen(base)
    return kernels[:4] - kernels[4:]


def fixed_base(base: Base) -> Tensor:
    """Base kernel (1,2,3,3), the same for the mean and the maximum over channels."""
    values = torch.ones(3, 3) if base == "ones" else torch.tensor(ZERO_SUM)
    return values.expand(1, 2, 3, 3).clone()


class DirectionalAttention(nn.Module):
    """Features (N,C,H,W) -> weights (N,1,H,W) in [0.5, 1), with fixed kernels: no parameters.

    Args:
        kernels: (4,2,7,7), see :func:`axis_kernels`.
    """

    def __init__(self, kernels: Tensor, padding: Padding = "replicate"):
        super().__init__()
        self.padding = padding
        self.register_buffer("kernels", kernels)

    def forward(self, x: Tensor) -> Tensor:
        summary = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        mode = "replicate" if self.padding == "replicate" else "constant"
        response = F.conv2d(F.pad(summary, (ARM,) * 4, mode=mode), cast(Tensor, self.kernels))
        return torch.sigmoid(response.square().amin(1, keepdim=True))


class LearnableDirectionalAttention(DirectionalAttention):
    """The same with base and masks as parameters."""

    def __init__(self, sign: Sign = "literal", padding: Padding = "replicate"):
        nn.Module.__init__(self)
        self.padding = padding
        base = fixed_base("zero_sum")
        self.masks = nn.Parameter(balanced(arm_masks(sign), base))
        self.base = nn.Parameter(base)

    @property
    def kernels(self) -> Tensor:
        return axis_kernels(self.masks, self.base)

    def frozen(self) -> DirectionalAttention:
        """The present kernels as a fixed module, which exports to one plain convolution."""
        return DirectionalAttention(self.kernels.detach(), self.padding)


def directional_attention(options: DsaOptions = DsaOptions()) -> DirectionalAttention:
    """Build a DSA module."""
    if options.base == "learnable":
        return LearnableDirectionalAttention(options.sign, options.padding)
    base, masks = fixed_base(options.base), arm_masks(options.sign)
    if options.base == "zero_sum":
        masks = balanced(masks, base)
    return DirectionalAttention(axis_kernels(masks, base), options.padding)
