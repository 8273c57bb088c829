"""A data set decoded once: all grey pixels in one tensor, ready to be cropped on any device."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from dsad_core.errors import DataError
from dsad_core.frame.normalise import to_unit

#: Bright places that are no target, kept for each image as hard negatives.
DISTRACTORS = 16
#: Grey value of a mask's pixels that belong neither to a target nor to the background for certain.
UNCERTAIN = 127


@dataclass(frozen=True)
class PackedSet:
    """Images and masks of a data set behind each other, whatever their sizes.

    Attributes:
        names: n image names.
        pixels: the images row by row one after the other, 255 is full scale; uint8 where all images are
            8-bit, else float32, each deeper image brought to that scale as the runtime does it.
        masks: uint8 0, 1, and 2 where nobody knows; laid out as ``pixels``.
        start: int64 (n,), where each image begins.
        size: int64 (n,2), height and width.
        targets: int64 (t,3), image index and centre y, x of each target.
        distractors: int64 (d,3), the same for bright places off target.
        group: int64 (n,), which data set of a union each image is from; equal numbers lie together.
        sided: bool (n,), whether the labels lie half a pixel above and left of the visible targets.
        soft: uint8, a teacher's probability times 255, laid out as ``pixels``; empty without a teacher.
        notes: what was done to single images on the way, such as a mask that was resized.
    """

    names: tuple[str, ...]
    pixels: Tensor
    masks: Tensor
    start: Tensor
    size: Tensor
    targets: Tensor
    distractors: Tensor
    group: Tensor
    sided: Tensor
    soft: Tensor
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> tuple[Tensor, Tensor]:
        """Image and mask (H,W): views, 255 is full scale, mask in {0,1,2}."""
        height, width = self.size[index].tolist()
        part = self._span(index)
        return self.pixels[part].view(height, width), self.masks[part].view(height, width)

    def subset(self, indices: list[int]) -> "PackedSet":
        """The images at ``indices`` alone, each named once."""
        chosen = torch.tensor(indices, device=self.start.device)
        place = torch.full_like(self.start, -1)
        place[chosen] = torch.arange(len(indices), device=place.device)

        def points(known: Tensor) -> Tensor:
            moved = torch.cat([place[known[:, :1]], known[:, 1:]], 1)
            moved = moved[moved[:, 0] >= 0]
            return moved[moved[:, 0].argsort(stable=True)]

        parts = [self.image(i) for i in indices]
        size = self.size[chosen]
        return PackedSet(
            names=tuple(self.names[i] for i in indices),
            pixels=torch.cat([image.flatten() for image, _ in parts]),
            masks=torch.cat([mask.flatten() for _, mask in parts]),
            start=size.prod(1).cumsum(0) - size.prod(1),
            size=size,
            targets=points(self.targets),
            distractors=points(self.distractors),
            group=self.group[chosen],
            sided=self.sided[chosen],
            soft=torch.cat([self.soft[self._span(i)] for i in indices]) if len(self.soft) else self.soft,
            notes=self.notes,
        )

    def thinned(self, each: int) -> "PackedSet":
        """``each`` images of every group at most, evenly spaced over it."""
        chosen: list[int] = []
        for group in self.group.unique().tolist():
            members = (self.group == group).nonzero()[:, 0]
            count = min(each, len(members))
            chosen += members[torch.arange(count) * len(members) // count].tolist()
        return self if len(chosen) == len(self) else self.subset(sorted(chosen))

    def to(self, device: str | torch.device) -> "PackedSet":
        """The same data set on another device."""
        tensors = (field.name for field in fields(self) if field.type is Tensor)
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})

    def _span(self, index: int) -> slice:
        start = int(self.start[index])
        return slice(start, start + int(self.size[index].prod()))


def pack(samples: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> PackedSet:
    """Pack (name, image (H,W) uint8, uint16 or float32, mask (H,W) uint8).

    A mask's pixels above 0 are target, but for those of ``UNCERTAIN``.

    Raises:
        DataError: there is no sample.
    """
    names: list[str] = []
    images: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    targets: list[Any] = []
    distractors: list[Any] = []
    for name, image, mask in samples:
        if image.dtype != np.uint8:
            image = 255 * to_unit(image)
        index = len(names)
        names.append(name)
        images.append(image)
        target = ((mask > 0) & (mask != UNCERTAIN)).astype(np.uint8)
        masks.append(np.where(mask == UNCERTAIN, np.uint8(2), target))
        _, _, _, centres = cv2.connectedComponentsWithStats(target, connectivity=8)
        targets += [(index, round(y), round(x)) for x, y in centres[1:]]
        distractors += [(index, y, x) for y, x in bright_places(image, masks[-1])]
    if not names:
        raise DataError("no training image: the split is empty")
    areas = np.array([image.size for image in images])
    return PackedSet(
        names=tuple(names),
        pixels=torch.from_numpy(np.concatenate([image.ravel() for image in images])),
        masks=torch.from_numpy(np.concatenate([mask.ravel() for mask in masks])),
        start=torch.from_numpy(np.cumsum(areas) - areas),
        size=torch.tensor([image.shape for image in images]),
        targets=torch.tensor(targets, dtype=torch.int64).reshape(-1, 3),
        distractors=torch.tensor(distractors, dtype=torch.int64).reshape(-1, 3),
        group=torch.zeros(len(names), dtype=torch.int64),
        sided=torch.zeros(len(names), dtype=torch.bool),
        soft=torch.zeros(0, dtype=torch.uint8),
    )


def join(first: PackedSet, second: PackedSet) -> PackedSet:
    """Two data sets as one, the images of ``first`` before those of ``second``."""

    def points(one: Tensor, other: Tensor) -> Tensor:
        return torch.cat([one, other + torch.tensor([len(first), 0, 0], device=other.device)])

    # torch.cat makes float32 of uint8 beside float32, which is the rule of ``pixels``.
    return PackedSet(
        names=first.names + second.names,
        pixels=torch.cat([first.pixels, second.pixels]),
        masks=torch.cat([first.masks, second.masks]),
        start=torch.cat([first.start, second.start + len(first.pixels)]),
        size=torch.cat([first.size, second.size]),
        targets=points(first.targets, second.targets),
        distractors=points(first.distractors, second.distractors),
        group=torch.cat([first.group, second.group]),
        sided=torch.cat([first.sided, second.sided]),
        soft=torch.cat([first.soft, second.soft]),
        notes=first.notes + second.notes,
    )


def split(data: PackedSet, held_out: int, seed: int) -> tuple[PackedSet, PackedSet | None]:
    """Cut ``held_out`` images, drawn by ``seed``, off a data set: (the rest, those images or None for 0).

    Raises:
        DataError: nothing would be left to train on.
    """
    if held_out >= len(data):
        raise DataError(f"{held_out} validation images leave none of the {len(data)} images to train on")
    if held_out == 0:
        return data, None
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed)).tolist()
    return data.subset(sorted(order[held_out:])), data.subset(sorted(order[:held_out]))


def bright_places(image: np.ndarray, mask: np.ndarray, count: int = DISTRACTORS) -> list[tuple[int, int]]:
    """(y, x) of the strongest target-sized bright spots that lie at least 6 px away from any target."""
    grey = image.astype(np.float32)
    contrast = cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 5)
    peak = contrast >= cv2.dilate(contrast, np.ones((9, 9), np.uint8))
    peak &= cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0
    ys, xs = np.nonzero(peak & (contrast > 0))
    best = np.argsort(-contrast[ys, xs], kind="stable")[:count]
    return [(int(ys[k]), int(xs[k])) for k in best]
