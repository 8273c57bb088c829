"""One frame with its ground truth, and what every source of such frames offers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from dsad_core.errors import DataError


@dataclass(frozen=True)
class Sample:
    """A grey frame and what is known about its targets.

    Attributes:
        name: identifies the frame within its source.
        image: (H, W) uint8, uint16 or float32, sensor counts as they are.
        mask: (H, W) uint8, 0 or 255, or None where no mask exists.
        boxes: (N, 4) float32 of left, top, width, height in pixels, or None where no boxes exist.
            N = 0 says that the frame holds no target; None says that nothing is known.
        ids: (N,) int64 of the boxes' targets, the same from frame to frame, or None where nobody knows.
        stamp_ns: when it was taken, nanoseconds; None for a series that only has a rate.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray | None = None
    boxes: np.ndarray | None = None
    ids: np.ndarray | None = None
    stamp_ns: int | None = None

    @property
    def labelled(self) -> bool:
        """Whether the frame can be scored."""
        return self.mask is not None or self.boxes is not None

    @property
    def truth(self) -> np.ndarray:
        """The mask of a frame that must have one.

        Raises:
            DataError: it has none.
        """
        if self.mask is None:
            raise DataError(f"frame {self.name} has no mask; a data set with masks is needed")
        return self.mask


@runtime_checkable
class SampleSource(Protocol):
    """A finite, repeatable series of samples.

    Attributes:
        name: what reports call it, such as ``NUDT-SIRST``.
        kind: ``dataset``, ``images``, ``video``, ``sequence``, ``synthetic`` or ``bag``.
        split_hash: first 12 hex digits of the split's identity, or "" where there is no split.
        fps: the source's own frame rate in Hz, or None for unrelated still images.
        notes: what a reader of results should know, such as a mask that had to be resized; may grow
            while the source is read.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def split_hash(self) -> str: ...

    @property
    def fps(self) -> float | None: ...

    @property
    def notes(self) -> list[str]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...


def split_hash_of(source: SampleSource, frames: int) -> str:
    """The split's hash where ``frames`` are all of a source: a part of a split is another set of frames."""
    return source.split_hash if frames >= len(source) else ""
