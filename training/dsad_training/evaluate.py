"""Scoring a torch network with the runtime's own metric accumulator."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dsad_core.metrics.accumulator import DetectionAccumulator, DetectionResult
from dsad_training.data.packed import PackedSet
from dsad_training.networks.network import Network
from dsad_training.recipe import DataPart


@torch.no_grad()
def predict(network: Network, image: Tensor) -> Tensor:
    """Logits (H,W) of a normalised image (1,C,H,W) of any size, padded by mirroring to the network's multiple."""
    height, width = image.shape[2:]
    multiple = network.size_multiple
    padding = (0, -width % multiple, 0, -height % multiple)
    padded = F.pad(image, padding, mode="reflect")
    return network(padded)[-1][0, 0, :height, :width]


def evaluate(network: Network, data: PackedSet, part: DataPart, threshold: float = 0.5) -> DetectionResult:
    """Pd, Fa, IoU and nIoU over a data set; the network is put into eval mode and left there.

    Args:
        part: of the recipe, whose normalisation the network was trained with.
    """
    network.eval()
    device = next(network.parameters()).device
    limit = math.log(threshold / (1 - threshold))
    accumulator = DetectionAccumulator("nearest")
    for index in range(len(data)):
        image, mask = data.image(index)
        logits = predict(network, part.normalised(image[None, None].to(device).float() / 255))
        # 2 is a pixel of which nobody knows: no target's.
        accumulator.update((logits > limit).cpu().numpy(), (mask == 1).cpu().numpy())
    return accumulator.result()
