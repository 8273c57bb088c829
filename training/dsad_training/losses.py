"""Task losses as pure functions of logits and truth, both (N,1,H,W); truth in {0,1}."""

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_iou(logits: Tensor, truth: Tensor) -> Tensor:
    """SoftIoU over the whole batch (DNANet's task loss), in [0,1).

    1 - (sum p*y + 1) / (sum p + sum y - sum p*y + 1) with p = sigmoid(logits), in fp32.
    """
    probability = torch.sigmoid(logits.float())
    intersection = (probability * truth).sum()
    return 1 - (intersection + 1) / (probability.sum() + truth.sum() - intersection + 1)


def task_loss(outputs: list[Tensor], truth: Tensor, bce: float = 0.0) -> Tensor:
    """Mean over the heads of SoftIoU, plus ``bce`` times the mean binary cross-entropy.

    SoftIoU alone has no gradient where the batch holds no target and the network says none; the
    cross-entropy keeps teaching there.
    """
    loss = torch.stack([soft_iou(logits, truth) for logits in outputs]).mean()
    if bce:
        entropies = [F.binary_cross_entropy_with_logits(logits.float(), truth) for logits in outputs]
        loss = loss + bce * torch.stack(entropies).mean()
    return loss
