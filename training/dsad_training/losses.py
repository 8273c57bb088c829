"""Task losses as pure functions of logits and truth, both (N,1,H,W); truth from 0 to 1."""

import torch
import torch.nn.functional as F
from torch import Tensor

#: Background pixels that weigh as much as a target's pixel in a batch without targets, for each image.
QUIET = 8.0


def soft_iou(logits: Tensor, truth: Tensor, known: Tensor | None = None, by_image: bool = False) -> Tensor:
    """SoftIoU, in [0,1), in fp32: 1 - (sum p*y + 1) / (sum p + sum y - sum p*y + 1) with p = sigmoid(logits).

    Args:
        known: 1 where the truth holds; pixels of 0 are left out.
        by_image: mean over the images that hold a target, so that a large target does not outweigh ten small
            ones; by default one quotient for the whole batch (DNANet's task loss).
    """
    probability = torch.sigmoid(logits.float())
    if known is not None:
        probability, truth = probability * known, truth * known
    axes = (1, 2, 3) if by_image else (0, 1, 2, 3)
    intersection = (probability * truth).sum(axes)
    loss = 1 - (intersection + 1) / (probability.sum(axes) + truth.sum(axes) - intersection + 1)
    if not by_image:
        return loss
    holds_target = (truth.amax(axes) > 0.5).float()
    return (loss * holds_target).sum() / holds_target.sum().clamp(min=1)


def balanced_bce(logits: Tensor, truth: Tensor, known: Tensor | None = None) -> Tensor:
    """Binary cross-entropy summed over all pixels, for each target pixel of the batch, in fp32.

    A pixel that alarms falsely then weighs as much as a target's pixel, however few targets there are.
    """
    loss = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    if known is not None:
        loss, truth = loss * known, truth * known
    return loss.sum() / (truth.sum() + QUIET * len(logits))


def task_loss(
    outputs: list[Tensor],
    truth: Tensor,
    bce: float = 0.0,
    known: Tensor | None = None,
    balanced: float = 0.0,
    by_image: bool = False,
) -> Tensor:
    """Mean over the heads of SoftIoU plus cross-entropy.

    SoftIoU alone has no gradient where the batch holds no target and the network says none; the
    cross-entropy keeps teaching there, and keeps the scores of true and false answers apart.

    Args:
        bce: weight of the mean cross-entropy over the pixels.
        balanced: weight of :func:`balanced_bce`.
        by_image: see :func:`soft_iou`.
    """
    losses = []
    for logits in outputs:
        loss = soft_iou(logits, truth, known, by_image)
        if bce:
            loss = loss + bce * F.binary_cross_entropy_with_logits(logits.float(), truth, known)
        if balanced:
            loss = loss + balanced * balanced_bce(logits, truth, known)
        losses.append(loss)
    return torch.stack(losses).mean()
