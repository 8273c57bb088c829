"""What a training step differentiates: images and truth in, the parts of the loss out."""

import torch
from torch import Tensor, nn

from dsad_training.data.batches import Crops
from dsad_training.distillers.build import Distillation
from dsad_training.losses import task_loss
from dsad_training.recipe import Recipe


class Learner(nn.Module):
    """The network in training and the distiller, whose adapters learn with it, as one module.

    Args:
        distillation: teacher and distiller, with hooks on ``network``; or None.
    """

    def __init__(self, network: nn.Module, distillation: Distillation | None, recipe: Recipe):
        super().__init__()
        self.network = network
        self.distiller = distillation.distiller if distillation else None
        self._distillation, self._recipe = distillation, recipe

    def forward(self, views: tuple[Tensor, ...], truth: Tensor, known: Tensor | None) -> dict[str, Tensor]:
        """The parts of the loss, each a scalar in fp32.

        Args:
            views: normalised images (N,C,H,W), as many as the network takes.
            truth: (N,1,H,W), 0 to 1; known: the same shape, 1 where the truth holds, or None.
        """
        recipe = self._recipe
        with torch.autocast(truth.device.type, torch.bfloat16, enabled=recipe.bf16):
            outputs = self.network(*views)
            loss = task_loss(outputs, truth, recipe.bce, known, recipe.balanced_bce, recipe.iou_by_image)
            losses = {"task": loss}
            if self._distillation and recipe.distillation:
                losses[recipe.distillation.method] = self._distillation.loss(outputs, views[0])
        return losses


def truth_of(crops: Crops, soft_share: float) -> tuple[Tensor, Tensor | None]:
    """What is learnt from a batch and where it holds: the labels, or their mixture with a teacher's answers.

    Args:
        soft_share: of a teacher's answer where the label is known; where nobody knows, it stands alone.
    """
    if crops.soft is None:
        return crops.truth, crops.known
    share = torch.where(crops.known > 0, soft_share, 1.0)
    return torch.lerp(crops.truth, crops.soft, share), None
