"""Frames on another grid than their own: resized as the papers score them, or turned by half a circle."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from dsad_core.errors import UsageError
from dsad_tools.data.sample import Sample, SampleSource


@dataclass
class Regridded:
    """A source whose every frame is resized, turned, or both. Names, split and labels stay the source's.

    Images are resized by Pillow's bilinear filter and masks by its nearest pixel, as DNANet's test script does:
    OpenCV's "nearest" reads half an output pixel beside Pillow's, and its bilinear does not average where it
    shrinks. Boxes are scaled.

    Args:
        source: of frames with masks or boxes.
        size: (width, height), px; None keeps each frame's own.
        turned: whether frames are turned by 180 degrees.

    Raises:
        UsageError: while iterating, a deeper frame than 8 bit is to be resized.
    """

    source: SampleSource
    size: tuple[int, int] | None = None
    turned: bool = False

    def __post_init__(self) -> None:
        self.name, self.kind, self.fps = self.source.name, self.source.kind, self.source.fps
        self.split_hash = self.source.split_hash
        self.split = getattr(self.source, "split", "")

    @property
    def notes(self) -> list[str]:
        """The source's notes, and what was done to every frame."""
        done = [f"grid {self.size[0]}x{self.size[1]} (Pillow, bilinear and nearest)"] if self.size else []
        return [*self.source.notes, *done, *(["frames turned by 180 degrees"] if self.turned else [])]

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[Sample]:
        for sample in self.source:
            sample = resized(sample, self.size) if self.size else sample
            yield turned(sample) if self.turned else sample


def resized(sample: Sample, size: tuple[int, int]) -> Sample:
    """The sample at ``size`` (width, height)."""
    if sample.image.dtype != np.uint8:
        raise UsageError(
            f"frame {sample.name} is {sample.image.dtype}; only 8-bit frames are scored on another grid"
        )
    height, width = sample.image.shape
    image = np.asarray(Image.fromarray(sample.image).resize(size, Image.Resampling.BILINEAR))
    mask, boxes = sample.mask, sample.boxes
    if mask is not None:
        mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    if boxes is not None:
        boxes = boxes * np.array([size[0] / width, size[1] / height] * 2, np.float32)
    return replace(sample, image=image, mask=mask, boxes=boxes)


def turned(sample: Sample) -> Sample:
    """The sample turned by 180 degrees."""
    height, width = sample.image.shape
    mask, boxes = sample.mask, sample.boxes
    if mask is not None:
        mask = np.ascontiguousarray(mask[::-1, ::-1])
    if boxes is not None:
        x, y, w, h = boxes.T
        boxes = np.stack([width - x - w, height - y - h, w, h], 1)
    return replace(sample, image=np.ascontiguousarray(sample.image[::-1, ::-1]), mask=mask, boxes=boxes)
