"""A training loop in the manner of the scripts published with the networks: what the stage is held against.

Every image and mask is decoded from its file each time it is drawn, cropped and flipped in NumPy, repeated to
three channels and collated by a torch DataLoader; the network runs in fp32 and the default layout under
SoftIoU over its heads and Adagrad.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dsad_tools.data.dataset import SirstDataset
from dsad_training.losses import task_loss

#: ImageNet's, as the scripts have them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DecodedEachTime(Dataset):
    """Random square crops of a data set: image (3,side,side) normalised, truth (1,side,side), float32."""

    def __init__(self, source: SirstDataset, side: int):
        self.source, self.side = source, side

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.source[index]
        image = np.repeat(sample.image[:, :, None], 3, axis=2).astype(np.float32) / 255
        image = (image - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        truth = (sample.truth > 0).astype(np.float32)[:, :, None]
        pair = np.concatenate([image, truth], 2)
        height, width = (max(0, self.side - length) for length in truth.shape[:2])
        pair = np.pad(pair, ((0, height), (0, width), (0, 0)))
        top, left = (np.random.randint(length - self.side + 1) for length in pair.shape[:2])
        pair = pair[top : top + self.side, left : left + self.side]
        if np.random.rand() < 0.5:
            pair = pair[:, ::-1]
        tensor = torch.from_numpy(np.ascontiguousarray(pair.transpose(2, 0, 1)))
        return tensor[:3], tensor[3:]


class PlainLoop:
    """Trains ``network`` batch by batch; the data set starts anew when it is exhausted.

    Args:
        source: 8-bit images with masks, at least ``batch`` of them.
        workers: loader processes; 0 decodes in this one.
    """

    def __init__(self, network: nn.Module, source: SirstDataset, batch: int, side: int, workers: int):
        self.network = network.train()
        self.optimiser = torch.optim.Adagrad(network.parameters(), lr=0.05)
        self.loader = DataLoader(
            DecodedEachTime(source, side),
            batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        self.batches = self._endless()

    def step(self) -> None:
        """One batch: decode, forward, backward, update."""
        image, truth = next(self.batches)
        loss = task_loss(self.network(image), truth)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        loss.item()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader
