"""A teacher's answers to all training images, made once and learnt from by many students."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from dsad_core.files import write_atomic
from dsad_training.data.packed import PackedSet
from dsad_training.data.union import names_hash
from dsad_training.networks.network import Network
from dsad_training.recipe import DataPart

#: Pixels in one pass, at most.
PASS = 1 << 22


@dataclass(frozen=True)
class SameSize:
    """Images of one size: their places in a set and themselves (n,C,H,W) float32, normalised."""

    indices: list[int]
    images: Tensor


@torch.no_grad()
def answers(network: Network, data: PackedSet, part: DataPart, views: int = 1) -> Tensor:
    """Probabilities (pixels,) uint8 of 255, laid out as ``data.pixels``: means over views of each image.

    Args:
        network: in eval mode, on the device of ``data``.
        part: of the recipe, whose normalisation the network was trained with.
        views: 1, 2 or 4: the image, also transposed, also both turned by half a circle.
    """
    soft = torch.zeros(len(data.pixels), dtype=torch.uint8)
    for same in same_sizes(data, part):
        total: Any = sum(_view(network, same.images, number) for number in range(views)) / views
        rounded = (255 * total[:, 0]).round().to(torch.uint8).cpu()
        for index, answer in zip(same.indices, rounded):
            start = int(data.start[index])
            soft[start : start + answer.numel()] = answer.flatten()
    return soft


def same_sizes(data: PackedSet, part: DataPart):
    """The images of a set in batches of one size."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(data.size.tolist()):
        by_size.setdefault(tuple(size), []).append(index)
    for (height, width), indices in by_size.items():
        count = max(1, PASS // (height * width))
        for start in range(0, len(indices), count):
            chosen = indices[start : start + count]
            images = torch.stack([data.image(index)[0] for index in chosen]).float()
            yield SameSize(chosen, part.normalised(images.unsqueeze(1) / 255))


def padded_logits(network: Network, images: Tensor) -> Tensor:
    """Logits (N,1,H,W) fp32 of normalised images of any size, padded by mirroring to the network's multiple."""
    height, width = images.shape[2:]
    multiple = network.size_multiple
    padding = (0, -width % multiple, 0, -height % multiple)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
        logits = network(F.pad(images, padding, mode="reflect"))[-1]
    return logits[..., :height, :width].float()


def write_soft_labels(path: Path, soft: Tensor, data: PackedSet, teacher_sha256: str) -> None:
    """Keep a teacher's answers to ``data``."""
    metadata = {"images": names_hash(data.names), "teacher_sha256": teacher_sha256}
    write_atomic(path, safetensors.torch.save({"soft": soft}, metadata))


def _view(network: Network, images: Tensor, number: int) -> Tensor:
    turned, transposed = number >= 2, number % 2 == 1
    view = images.flip((2, 3)) if turned else images
    view = view.transpose(2, 3) if transposed else view
    probability = padded_logits(network, view.contiguous()).sigmoid()
    probability = probability.transpose(2, 3) if transposed else probability
    return probability.flip((2, 3)) if turned else probability
