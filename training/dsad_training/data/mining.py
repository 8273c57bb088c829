"""Hard negatives: places where the averaged network alarms falsely (Shrivastava et al., OHEM, CVPR 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsad_training.data.batches import Batches
from dsad_training.recipe import DataPart

#: Probability above which an answer off target is a false alarm.
ALARM = 0.1
#: Places remembered; new ones push out the oldest.
MEMORY = 4096


@torch.no_grad()
def mined(network: nn.Module, batches: Batches, count: int, side: int, part: DataPart, bf16: bool) -> Tensor:
    """Places (h,3), image index and y, x, of the strongest false alarm in each of ``count`` crops that has one.

    Args:
        network: in eval mode.
    """
    crops, places = batches.anywhere(count, side)
    image = part.normalised(crops.image)
    with torch.autocast(image.device.type, torch.bfloat16, enabled=bf16):
        probability = network(image)[-1].float().sigmoid()
    # A target's surroundings are no false alarm, nor is what nobody knows.
    spared = F.max_pool2d(torch.maximum(crops.truth, 1 - crops.known), 9, stride=1, padding=4)
    score, place = (probability * (spared < 0.5)).flatten(1).max(1)
    found = score > ALARM
    y, x = places.corner[:, 0] + place // side, places.corner[:, 1] + place % side
    return torch.stack([places.index, y, x], 1)[found]


def remembered(known: Tensor, new: Tensor) -> Tensor:
    """Both (h,3), the newest ``MEMORY`` of them."""
    return torch.cat([known, new])[-MEMORY:]
