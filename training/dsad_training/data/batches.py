"""Random batches of crops, made by gathers on the device that holds the data."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dsad_training.data.augmentation import Augmentation
from dsad_training.data.packed import PackedSet
from dsad_training.data.paste import Patches, paste
from dsad_training.data.sensor import disturbed


class Crops(NamedTuple):
    """A batch, each (N,1,side,side) float32.

    Attributes:
        image: around full scale 1.
        truth: 0 to 1; between them only where a zoomed target's border falls inside a pixel.
        known: 1 where the truth holds, 0 where nobody knows.
        soft: a teacher's probability, or None.
    """

    image: Tensor
    truth: Tensor
    known: Tensor
    soft: Tensor | None


@dataclass(frozen=True)
class Places:
    """Where crops are cut: of image ``index`` (n,), from ``corner`` (n,2) y, x on, ``step`` (n,) px a px."""

    index: Tensor
    corner: Tensor
    step: Tensor


class Batches:
    """Draws batches from a data set, every random number from one generator.

    Crop, zoom, flip and transpose are one gather: they only change which source position each output pixel
    reads. Pixels beyond the image's border are read mirrored.

    Args:
        shares: (g,) share of the crops from each group of ``data``; all images alike by default.
        hard: (h,3) image index and y, x of places that are drawn by ``augmentation.mined``.
        patches: targets to paste.
    """

    def __init__(
        self,
        data: PackedSet,
        augmentation: Augmentation,
        generator: torch.Generator,
        shares: Tensor | None = None,
        hard: Tensor | None = None,
        patches: Patches | None = None,
    ):
        self.data, self.augmentation, self.generator = data, augmentation, generator
        self.device = generator.device
        self.hard, self.patches = hard, patches
        groups = 1 if shares is None else len(shares)
        self._shares = shares
        self._images = _ranges(data.group, groups)
        self._points = {
            "target": (data.targets, _ranges(data.group[data.targets[:, 0]], groups)),
            "distractor": (data.distractors, _ranges(data.group[data.distractors[:, 0]], groups)),
        }

    def draw(self, count: int, side: int) -> Crops:
        """``count`` crops (count,1,side,side)."""
        augmentation = self.augmentation
        crops = self._cut(self._places(count, side), side, augmentation.flip, augmentation.transpose)
        if self.patches is not None and augmentation.paste:
            crops = paste(crops, self.patches, augmentation.paste, self.generator)
        return crops._replace(image=disturbed(crops.image, augmentation, self.generator))

    def anywhere(self, count: int, side: int) -> tuple[Crops, Places]:
        """Crops as the images are, from any place of them, and these places."""
        index = self._image_index(self._group(count))
        size = self.data.size[index]
        room = (size - side).clamp(min=0)
        corner = (self._uniform(count, 2) * (room + 1)).long()
        places = Places(index, corner, torch.ones(count, device=self.device))
        return self._cut(places, side, flip=False, transpose=False), places

    def blurred(self, image: Tensor) -> Tensor:
        """Each image under a Gaussian of its own deviation, 0 to 1 px: DMFNet's second view."""
        return gaussian_blur(image, self._uniform(len(image)))

    def _cut(self, places: Places, side: int, flip: bool, transpose: bool) -> Crops:
        data, index, count = self.data, places.index, len(places.index)
        line = torch.arange(side, device=self.device).expand(count, side)
        swap, flip_y, flip_x = (
            (self._uniform(count, 1, 1) < 0.5).view(-1, 1) & allowed for allowed in (transpose, flip, flip)
        )
        y, x = torch.where(flip_y, side - 1 - line, line), torch.where(flip_x, side - 1 - line, line)
        top, left = places.corner.view(-1, 2, 1).unbind(1)
        # Labels that lie up and left of what is seen go on doing so after a mirror.
        sided = data.sided[index].view(-1, 1)
        label_y, label_x = y - (flip_y & sided).long(), x - (flip_x & sided).long()
        if self.augmentation.zoom == 1:
            seen = _Sight(self._grid(index, top + y, left + x, swap))
            labelled = _Sight(self._grid(index, top + label_y, left + label_x, swap))
        else:
            step = places.step.view(-1, 1)
            seen = self._between(index, top + (y + 0.5) * step - 0.5, left + (x + 0.5) * step - 0.5, swap)
            labelled = self._between(
                index, top + (label_y + 0.5) * step - 0.5, left + (label_x + 0.5) * step - 0.5, swap
            )
        masks = labelled.read(data.masks)
        truth, unknown = (labelled.mixed([(mask == value).float() for mask in masks]) for value in (1, 2))
        soft = (
            labelled.mixed([pixels.float() for pixels in labelled.read(data.soft)])
            if len(data.soft)
            else None
        )
        return Crops(
            seen.mixed([pixels.float() for pixels in seen.read(data.pixels)]).unsqueeze(1) / 255,
            truth.unsqueeze(1),
            (unknown < 0.5).float().unsqueeze(1),
            None if soft is None else soft.unsqueeze(1) / 255,
        )

    def _grid(self, index: Tensor, y: Tensor, x: Tensor, swap: Tensor) -> Tensor:
        """Addresses (n,side,side) of rows ``y`` and columns ``x``, both (n,side); of their transpose where ``swap``."""
        height, width = self.data.size[index].view(-1, 2, 1).unbind(1)
        rows = self.data.start[index].view(-1, 1) + mirror(y, height) * width
        return _spread(rows, mirror(x, width), swap)

    def _between(self, index: Tensor, y: Tensor, x: Tensor, swap: Tensor) -> "_Sight":
        low_y, low_x = y.floor(), x.floor()
        part_y, part_x = y - low_y, x - low_x
        low_y, low_x = low_y.long(), low_x.long()
        addresses = [
            self._grid(index, low_y + below, low_x + right, swap) for below in (0, 1) for right in (0, 1)
        ]
        down = _spread(part_y, torch.zeros_like(part_y), swap)
        across = _spread(torch.zeros_like(part_x), part_x, swap)
        return _Sight(*addresses, shares=(down, across))

    def _places(self, count: int, side: int) -> Places:
        augmentation = self.augmentation
        step = torch.ones(count, device=self.device)
        if augmentation.zoom > 1:
            # As likely to enlarge as not.
            drawn = augmentation.zoom ** (2 * self._uniform(count) - 1)
            step = torch.where(self._uniform(count) < augmentation.zoomed, drawn, step)
        group = self._group(count)
        index = self._image_index(group)
        centre = (self._uniform(count, 2) * self.data.size[index]).long()
        kind = self._uniform(count)
        low = 0.0
        for name, share in (("target", augmentation.target), ("distractor", augmentation.distractor)):
            points, (first, length) = self._points[name]
            if len(points):
                place = first[group] + (self._uniform(count) * length[group]).long()
                point = points[place.clamp(max=len(points) - 1)]
                chosen = (kind >= low) & (kind < low + share) & (length[group] > 0)
                index = torch.where(chosen, point[:, 0], index)
                centre = torch.where(chosen[:, None], point[:, 1:], centre)
            low += share
        if self.hard is not None and len(self.hard) and augmentation.mined:
            point = self.hard[self._integers(len(self.hard), count)]
            chosen = (kind >= low) & (kind < low + augmentation.mined)
            index = torch.where(chosen, point[:, 0], index)
            centre = torch.where(chosen[:, None], point[:, 1:], centre)
        # The point of interest lies anywhere in the crop but for a margin, so that targets stay whole.
        margin = side // 8
        inside = margin + self._uniform(count, 2) * (side - 2 * margin)
        corner = centre - (inside * step[:, None]).long()
        room = (self.data.size[index] - (side * step[:, None]).ceil().long()).clamp(min=0)
        return Places(index, torch.minimum(corner.clamp(min=0), room), step)

    def _group(self, count: int) -> Tensor:
        if self._shares is None:
            return torch.zeros(count, dtype=torch.int64, device=self.device)
        return torch.multinomial(self._shares, count, replacement=True, generator=self.generator)

    def _image_index(self, group: Tensor) -> Tensor:
        first, length = self._images
        return first[group] + (self._uniform(len(group)) * length[group]).long()

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device)

    def _integers(self, high: int, count: int) -> Tensor:
        return torch.randint(high, (count,), generator=self.generator, device=self.device)


class _Sight:
    """Where crops (n,side,side) read their images: one address for each pixel, or the four around its place.

    Args:
        addresses: (n,side,side) each; of four the upper left, upper right, lower left and lower right.
        shares: of the lower ones and of the right ones.
    """

    def __init__(self, *addresses: Tensor, shares: tuple[Tensor, Tensor] | None = None):
        self._addresses, self._shares = addresses, shares

    def read(self, pixels: Tensor) -> list[Tensor]:
        return [pixels[address] for address in self._addresses]

    def mixed(self, values: list[Tensor]) -> Tensor:
        """The bilinear mean of what was read at the addresses."""
        if self._shares is None:
            return values[0]
        down, across = self._shares
        upper, lower = torch.lerp(values[0], values[1], across), torch.lerp(values[2], values[3], across)
        return torch.lerp(upper, lower, down)


def _spread(of_y: Tensor, of_x: Tensor, swap: Tensor) -> Tensor:
    """(n,side,side) from what belongs to the rows and to the columns of an image, (n,side); transposed by ``swap``."""
    rows, columns = torch.where(swap, of_x, of_y), torch.where(swap, of_y, of_x)
    return rows[:, :, None] + columns[:, None, :]


def _ranges(group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """First position and number of each group's entries in ``group`` (n,), whose equal numbers lie together."""
    if groups == 1:
        group = torch.zeros_like(group)
    length = torch.bincount(group, minlength=groups)
    return length.cumsum(0) - length, length


def mirror(position: Tensor, length: Tensor) -> Tensor:
    """Fold positions, those below 0 too, into [0, length) by reflection about the border pixels."""
    period = (2 * length - 2).clamp(min=1)
    folded = position.remainder(period)
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
