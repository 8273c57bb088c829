"""Random batches of crops with augmentation, made by gathers on the device that holds the data."""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dsad_training.data.packed import PackedSet


Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Augmentation:
    """How crops are drawn and changed. ``gain``, ``offset``: largest change either way.

    Attributes:
        target: share of crops around a target.
        distractor: share of crops around bright clutter; the rest lie anywhere.
        gain: contrast factor is drawn from 1 - gain to 1 + gain.
        offset: brightness change, full scale is 1.
        blur: largest weight of a 3x3 mean mixed into the image, 0 to 1.
        noise: largest standard deviation of white noise, full scale is 1.
        zoom: largest factor by which a batch is enlarged or made smaller, 1 to 4.
        flip, transpose: whether crops are mirrored, and rows and columns exchanged, at random. Where the truth
            lies to one side of what is seen, as in NUDT-SIRST, that side can be learnt only without mirrors.
    """

    target: Share = 0.7
    distractor: Share = 0.2
    gain: Share = 0.2
    offset: Amount = 0.1
    blur: Share = 0.3
    noise: Amount = 0.01
    zoom: Annotated[float, Field(ge=1, le=4)] = 1.0
    flip: bool = True
    transpose: bool = True


class Batches:
    """Draws batches from a data set, every random number from one generator.

    Crop, flip and transpose are one gather: the eight symmetries of the square only change which source
    pixel each output pixel reads. Pixels beyond the image's border are read mirrored.
    """

    def __init__(self, data: PackedSet, augmentation: Augmentation, generator: torch.Generator):
        self.data, self.augmentation, self.generator = data, augmentation, generator
        self.device = generator.device

    def draw(self, count: int, side: int) -> tuple[Tensor, Tensor]:
        """Image and truth (count,1,side,side) float32: image around full scale 1, truth 0 or 1."""
        image, truth = self._crop(count, self._source_side(side))
        if image.shape[-1] != side:
            image, truth = (resized(each, side) for each in (image, truth))
            truth = (truth >= 0.5).float()
        return self._disturb(image), truth

    def _source_side(self, side: int) -> int:
        """Side of what is cut out and then brought to ``side``; the factor is as likely to enlarge as not."""
        if (zoom := self.augmentation.zoom) == 1:
            return side
        return round(side * zoom ** (2 * float(self._uniform(1)) - 1))

    def _crop(self, count: int, side: int) -> tuple[Tensor, Tensor]:
        index, top, left = self._places(count, side)
        row = torch.arange(side, device=self.device).view(1, -1, 1)
        column = row.transpose(1, 2)
        flip, transpose = self.augmentation.flip, self.augmentation.transpose
        swap, flip_y, flip_x = (
            (self._uniform(count, 1, 1) < 0.5) & allowed for allowed in (transpose, flip, flip)
        )
        y, x = torch.where(swap, column, row), torch.where(swap, row, column)
        y, x = torch.where(flip_y, side - 1 - y, y), torch.where(flip_x, side - 1 - x, x)
        height, width = self.data.size[index].view(-1, 2, 1, 1).unbind(1)
        y, x = mirror(top.view(-1, 1, 1) + y, height), mirror(left.view(-1, 1, 1) + x, width)
        pixel = self.data.start[index].view(-1, 1, 1) + y * width + x
        image = self.data.pixels[pixel].unsqueeze(1).float() / 255
        return image, self.data.masks[pixel].unsqueeze(1).float()

    def blurred(self, image: Tensor) -> Tensor:
        """Each image under a Gaussian of its own deviation, 0 to 1 px: DMFNet's second view."""
        return gaussian_blur(image, self._uniform(len(image)))

    def _places(self, count: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """Image index and top left corner (count,) of each crop."""
        data, augmentation = self.data, self.augmentation
        index = self._integers(len(data), count)
        size = data.size[index]
        centre = (self._uniform(count, 2) * size).long()
        kind = self._uniform(count)
        for points, low, share in (
            (data.targets, 0.0, augmentation.target),
            (data.distractors, augmentation.target, augmentation.distractor),
        ):
            if len(points):
                point = points[self._integers(len(points), count)]
                chosen = (kind >= low) & (kind < low + share)
                index = torch.where(chosen, point[:, 0], index)
                centre = torch.where(chosen[:, None], point[:, 1:], centre)
        # The point of interest lies anywhere in the crop but for a margin, so that targets stay whole.
        margin = side // 8
        corner = centre - margin - (self._uniform(count, 2) * (side - 2 * margin)).long()
        room = (data.size[index] - side).clamp(min=0)
        corner = torch.minimum(corner.clamp(min=0), room)
        return index, corner[:, 0], corner[:, 1]

    def _disturb(self, image: Tensor) -> Tensor:
        augmentation, shape = self.augmentation, (len(image), 1, 1, 1)
        blur = augmentation.blur * self._uniform(*shape)
        smooth = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        image = image + blur * (smooth - image)
        gain = 1 + augmentation.gain * (2 * self._uniform(*shape) - 1)
        offset = augmentation.offset * (2 * self._uniform(*shape) - 1)
        deviation = augmentation.noise * self._uniform(*shape)
        noise = torch.randn(image.shape, generator=self.generator, device=self.device)
        return image * gain + offset + deviation * noise

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device)

    def _integers(self, high: int, count: int) -> Tensor:
        return torch.randint(high, (count,), generator=self.generator, device=self.device)


def resized(image: Tensor, side: int) -> Tensor:
    """(N,1,H,W) brought to (N,1,side,side), each pixel the mean of what it covers where that is more."""
    return F.interpolate(image, (side, side), mode="bilinear", antialias=True)


def mirror(position: Tensor, length: Tensor) -> Tensor:
    """Fold positions >= 0 into [0, length) by reflection about the border pixels."""
    period = (2 * length - 2).clamp(min=1)
    folded = position % period
    return torch.where(folded < length, folded, period - folded)


def gaussian_blur(image: Tensor, deviation: Tensor, reach: int = 3) -> Tensor:
    """Blur each image (N,1,H,W) by its own deviation (N,) px >= 0; the kernel reaches ``reach`` px."""
    offset = torch.arange(-reach, reach + 1, device=image.device)
    kernel = torch.exp(-offset.square() / (2 * deviation.clamp(min=1e-3)[:, None].square()))
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]
    stack = image.transpose(0, 1)  # (1,N,H,W): one group for each image
    padded = F.pad(stack, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel[:, :, None], groups=len(image))
    return F.conv2d(rows, kernel[:, :, :, None], groups=len(image)).transpose(0, 1)
