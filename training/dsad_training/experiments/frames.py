"""Data sets on one square grid, and scoring on them in batches."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from dsad_core.metrics.accumulator import DetectionAccumulator, DetectionResult
from dsad_tools.data.dataset import SirstDataset
from dsad_training.data.packed import PackedSet, pack, split
from dsad_training.data.union import names_hash
from dsad_training.recipe import DataPart

#: Draws the validation part, for every run alike.
SPLIT_SEED = 0
#: Frames that are scored at once, where the device is a GPU.
SCORED = 32


@dataclass(frozen=True)
class Frames:
    """A data set as the plan needs it.

    Attributes:
        kept: what is trained on; parts: what is scored, ``validation`` and ``test``.
        split_hash: of the ids of each scored part.
    """

    kept: PackedSet
    parts: dict[str, PackedSet]
    split_hash: dict[str, str]


def load_frames(folder: Path, grid: int, validation: int, device: torch.device) -> Frames:
    """Read the training and the test split on a ``grid`` x ``grid`` raster.

    Raises:
        DataError: the data set cannot be read, or the validation part leaves nothing to train on.
    """
    train, test = SirstDataset(folder, "train"), SirstDataset(folder, "test")
    kept, held_out = split(pack(on_grid(train, grid)), validation, SPLIT_SEED)
    parts = {"test": pack(on_grid(test, grid))}
    if held_out is not None:
        parts = {"validation": held_out, **parts}
    hashes = {name: names_hash(part.names) for name, part in parts.items()}
    parts = {name: part.to(device) for name, part in parts.items()}
    return Frames(kept.to(device), parts, hashes)


def on_grid(samples: SirstDataset, side: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names, images and masks brought to (side,side) as DNANet's test does: Pillow's bilinear and nearest, no padding."""
    for sample in samples:
        image = Image.fromarray(sample.image).resize((side, side), Image.Resampling.BILINEAR)
        mask = Image.fromarray(sample.truth).resize((side, side), Image.Resampling.NEAREST)
        yield sample.name, np.asarray(image), np.asarray(mask)


@torch.no_grad()
def score(network: nn.Module, data: PackedSet, part: DataPart, threshold: float = 0.5) -> DetectionResult:
    """Pd, Fa, IoU and nIoU over frames of one size; the network is put into eval mode and left there."""
    network.eval()
    height, width = data.size[0].tolist()
    images, masks = (tensor.view(-1, 1, height, width) for tensor in (data.pixels, data.masks))
    limit, accumulator = math.log(threshold / (1 - threshold)), DetectionAccumulator("nearest")
    # A CPU works fastest on what fits its caches.
    step = SCORED if images.device.type == "cuda" else 1
    for image, mask in zip(images.split(step), masks.split(step)):
        predicted = network(part.normalised(image.float() / 255))[-1] > limit
        for answer, truth in zip(_frames(predicted), _frames(mask)):
            accumulator.update(answer, truth)
    return accumulator.result()


def _frames(batch: Tensor) -> np.ndarray:
    return batch[:, 0].to(torch.uint8).cpu().numpy()
