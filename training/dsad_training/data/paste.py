"""Real targets cut out of their background, to be put onto other images.

A target's patch holds its difference to the background around it, faded out towards its border. Adding such a
difference is what Poisson blending does where the source's background is smooth (Lu et al., arXiv 2504.16487,
paste targets of other data sets by it).
"""

from collections.abc import Set
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dsad_training.data.packed import PackedSet

#: Side of a patch, px.
SIDE = 40
#: Pasted targets of an image, at most.
MOST = 2
#: Least peak of a pasted target: in standard deviations of what it covers, and of full scale.
LEAST_CONTRAST, LEAST_PEAK = 2.5, 0.03


@dataclass(frozen=True)
class Patches:
    """Targets: ``difference`` (t,SIDE,SIDE) at full scale 1, ``mask`` (t,SIDE,SIDE) of 0 and 1, both float32."""

    difference: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.mask)

    def to(self, device: str | torch.device) -> "Patches":
        """The same targets on another device."""
        return Patches(self.difference.to(device), self.mask.to(device))


def cut_patches(data: PackedSet, loose: Set[int] = frozenset()) -> Patches | None:
    """Every target of ``data`` that fits a patch and whose label lies on it; None where there is none.

    Args:
        loose: groups whose masks are guesses.
    """
    differences, masks = [], []
    reach = SIDE // 2
    images = sorted(set(data.targets[:, 0].tolist()))
    for index in images:
        if bool(data.sided[index]) or int(data.group[index]) in loose:
            continue
        image, mask = (plane.numpy() for plane in data.image(index))
        target = (mask == 1).astype(np.uint8)
        _, labels, stats, centres = cv2.connectedComponentsWithStats(target, connectivity=8)
        near = cv2.dilate((mask != 0).astype(np.uint8), np.ones((5, 5), np.uint8))
        grey = image.astype(np.float32) / 255
        weight = cv2.GaussianBlur((near == 0).astype(np.float32), (0, 0), 4)
        background = cv2.GaussianBlur(grey * (near == 0), (0, 0), 4) / np.maximum(weight, 1e-3)
        for number, (x, y) in enumerate(centres[1:], 1):
            top, left = round(y) - reach, round(x) - reach
            width, height, area = stats[number, 2:]
            inside = top >= 0 and left >= 0 and top + SIDE <= image.shape[0] and left + SIDE <= image.shape[1]
            if not inside or max(width, height) > SIDE - 12 or area < 3:
                continue
            window = np.s_[top : top + SIDE, left : left + SIDE]
            own = (labels[window] == number).astype(np.float32)
            fade = cv2.GaussianBlur(cv2.dilate(own, np.ones((5, 5), np.uint8)), (0, 0), 1)
            fade[own > 0] = 1
            differences.append((grey - background)[window] * fade)
            masks.append(own)
    if not masks:
        return None
    return Patches(*(torch.from_numpy(np.stack(planes)) for planes in (differences, masks)))


def paste(crops, patches: Patches, share: float, generator: torch.Generator):
    """Put one or two targets onto a share of the crops; their truth, and a teacher's answer, follow."""
    image, truth = crops.image[:, 0], crops.truth[:, 0]
    count, height, width = image.shape
    device = image.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    chosen = uniform(count) < share
    offsets = torch.arange(SIDE, device=device)
    images = torch.arange(count, device=device).view(-1, 1, 1)
    added, pasted = torch.zeros_like(image), torch.zeros_like(truth)
    for slot in range(MOST):
        here = chosen & (uniform(count) < 1 / (1 + slot))
        number = (uniform(count) * len(patches)).long()
        pair = torch.stack([patches.difference[number], patches.mask[number]], 1)
        for axis in (-1, -2):
            pair = torch.where(uniform(count, 1, 1, 1) < 0.5, pair.flip(axis), pair)
        difference, mask = torch.where(uniform(count, 1, 1, 1) < 0.5, pair.transpose(2, 3), pair).unbind(1)
        y = (uniform(count) * (height - SIDE + 1)).long().view(-1, 1, 1) + offsets.view(1, -1, 1)
        x = (uniform(count) * (width - SIDE + 1)).long().view(-1, 1, 1) + offsets.view(1, 1, -1)
        covered = image[images, y, x]
        peak = (difference * mask).abs().amax((1, 2)).clamp(min=1e-3)
        least = (LEAST_CONTRAST * covered.std((1, 2))).clamp(min=LEAST_PEAK)
        factor = torch.maximum(0.4 + 1.1 * uniform(count), least / peak) * here
        layer = torch.zeros_like(image)
        layer[images, y, x] = difference * factor.view(-1, 1, 1)
        added = added + layer
        layer = torch.zeros_like(truth)
        layer[images, y, x] = mask * here.view(-1, 1, 1)
        pasted = torch.maximum(pasted, layer)
    pasted = pasted[:, None]
    return crops._replace(
        image=(crops.image + added[:, None]),
        truth=torch.maximum(crops.truth, pasted),
        known=torch.maximum(crops.known, pasted),
        soft=None if crops.soft is None else torch.maximum(crops.soft, pasted),
    )
