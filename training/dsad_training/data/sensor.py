"""What infrared cameras do to an image: contrast, defocus, noise, fixed pattern, dead pixels, burnt-in text."""

from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dsad_training.data.augmentation import Augmentation

#: Share of the pixels of a crop with dead pixels that are dead, at most.
DEAD_DENSITY = 3e-4
#: Height and width of a burnt-in overlay, px, and how many there are.
OVERLAY, OVERLAYS = (40, 112), 48


def disturbed(image: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Images (N,1,H,W) around full scale 1, each changed in its own way; effects of size 0 are left out."""
    draws = _Draws(image, generator)
    if augmentation.blur:
        smooth = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        image = image + augmentation.blur * draws.each() * (smooth - image)
    if augmentation.gamma > 1:
        exponent = augmentation.gamma ** draws.either_way()
        image = image.clamp(0, 1) ** exponent
    gain = 1 + augmentation.gain * draws.either_way()
    image = image * gain + augmentation.offset * draws.either_way()
    if augmentation.pattern:
        count, _, height, width = image.shape
        deviation = augmentation.pattern * draws.each() * (draws.each() < 0.5)
        rows, columns = draws.normal(count, 1, height, 1), draws.normal(count, 1, 1, width)
        image = image + deviation * (rows * (draws.each() < 0.5) + columns * (draws.each() < 0.5))
    image = image + augmentation.noise * draws.each() * draws.normal(*image.shape)
    if augmentation.dead:
        share = DEAD_DENSITY * draws.each() * (draws.each() < augmentation.dead)
        image = torch.where(draws.uniform(*image.shape) < share, draws.uniform(*image.shape), image)
    if augmentation.text:
        image = with_overlays(image, augmentation.text, draws)
    return image


class _Draws:
    """Random numbers on the device of a batch."""

    def __init__(self, image: Tensor, generator: torch.Generator):
        self.count, self.generator, self.device = len(image), generator, image.device

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def each(self) -> Tensor:
        """(N,1,1,1) in [0,1)."""
        return self.uniform(self.count, 1, 1, 1)

    def either_way(self) -> Tensor:
        """(N,1,1,1) in [-1,1)."""
        return 2 * self.each() - 1


def with_overlays(image: Tensor, share: float, draws: _Draws) -> Tensor:
    """Burn text or a reticle, white or black, into a share of the images (N,1,H,W)."""
    count, _, height, width = image.shape
    if height < OVERLAY[0] or width < OVERLAY[1]:
        return image
    pool = overlays().to(image.device)
    chosen = pool[(draws.uniform(count) * len(pool)).long()]
    top = (draws.uniform(count) * (height - OVERLAY[0] + 1)).long().view(-1, 1, 1)
    left = (draws.uniform(count) * (width - OVERLAY[1] + 1)).long().view(-1, 1, 1)
    rows = torch.arange(OVERLAY[0], device=image.device).view(1, -1, 1) + top
    columns = torch.arange(OVERLAY[1], device=image.device).view(1, 1, -1) + left
    burnt = torch.zeros(count, height, width, device=image.device)
    images = torch.arange(count, device=image.device).view(-1, 1, 1)
    burnt[images, rows, columns] = chosen
    level = (draws.each() < 0.7).float()
    return torch.where((burnt[:, None] > 0.5) & (draws.each() < share), level, image)


@lru_cache(maxsize=1)
def overlays() -> Tensor:
    """(OVERLAYS, *OVERLAY) float32 of 0 and 1: lines of text, every fourth a reticle."""
    height, width = OVERLAY
    draw = np.random.default_rng(0)
    letters = list("ABCDEFHKLMNRSTUVWXYZ0123456789.:-/ %")
    pool = np.zeros((OVERLAYS, height, width), np.uint8)
    for number, canvas in enumerate(pool):
        middle = (width // 2, height // 2)
        if number % 4 == 0:
            arm = int(draw.integers(6, 19))
            cv2.drawMarker(canvas, middle, 1, cv2.MARKER_CROSS, 2 * arm, 1)
            if number % 8 == 0:
                cv2.circle(canvas, middle, arm, 1, 1)
        else:
            text = "".join(draw.choice(letters, int(draw.integers(3, 9))))
            scale = float(draw.uniform(0.35, 0.7))
            cv2.putText(canvas, text, (3, height - 12), cv2.FONT_HERSHEY_SIMPLEX, scale, 1, 1)
    return torch.from_numpy(pool).float()
