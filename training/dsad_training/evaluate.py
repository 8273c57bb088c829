"""Scoring a torch network with the runtime's own metric accumulator."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsad_core.metrics.accumulator import DetectionAccumulator, DetectionResult
from dsad_training.data.packed import PackedSet


@torch.no_grad()
def predict(network: nn.Module, image: Tensor) -> Tensor:
    """Logits (H,W) of a normalised image (H,W) of any size, padded by mirroring to the network's multiple."""
    height, width = image.shape
    multiple = network.size_multiple
    padding = (0, -width % multiple, 0, -height % multiple)
    padded = F.pad(image[None, None], padding, mode="reflect")
    return network(padded)[-1][0, 0, :height, :width]


def evaluate(
    network: nn.Module, data: PackedSet, mean: float, std: float, threshold: float = 0.5
) -> DetectionResult:
    """Pd, Fa, IoU and nIoU over a data set; the network is put into eval mode and left there."""
    network.eval()
    device = next(network.parameters()).device
    limit = math.log(threshold / (1 - threshold))
    accumulator = DetectionAccumulator("nearest")
    for index in range(len(data)):
        image, mask = data.image(index)
        logits = predict(network, (image.to(device).float() / 255 - mean) / std)
        # 2 is a pixel of which nobody knows: no target's.
        accumulator.update((logits > limit).cpu().numpy(), (mask == 1).cpu().numpy())
    return accumulator.result()
