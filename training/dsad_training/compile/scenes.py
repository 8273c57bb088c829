"""Labelled images of the training split as an engine gets them: for calibration and for the parity gate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dsad_core.engines.manifest import Normalisation
from dsad_core.frame.geometry import padded_size
from dsad_core.frame.normalise import to_unit
from dsad_tools.data.dataset import SirstDataset


@dataclass(frozen=True)
class Scene:
    """One image, normalised and padded.

    Attributes:
        tensor: (1,C,H,W) float32, sides multiples of the network's, or of the fixed size.
        mask: (h,w) uint8 truth, h <= H and w <= W: padding lies to the right and below and is not scored.
    """

    tensor: np.ndarray
    mask: np.ndarray


class Scenes:
    """Some images of a data set, each decoded when it is asked for.

    Args:
        source: the training split.
        indices: which of its images.
        normalisation: of the engine.
        multiple: the engine's sides are multiples of it.
        size: (height, width) to cut and extend every image to; None for each image's own.
    """

    def __init__(
        self,
        source: SirstDataset,
        indices: Sequence[int],
        normalisation: Normalisation,
        multiple: int,
        size: tuple[int, int] | None,
    ):
        self._source, self._indices = source, indices
        self._normalisation = normalisation
        self._multiple, self._size = multiple, size

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Scene]:
        return (self.scene(position) for position in range(len(self)))

    def scene(self, position: int, size: tuple[int, int] | None = None) -> Scene:
        """One of the images, with ``size`` in place of the size they all have."""
        sample = self._source[self._indices[position]]
        image, mask = to_unit(sample.image), sample.truth
        size = size or self._size
        if size is not None:
            image, mask = reflected(image, *size), reflected(mask, *size)
        height, width = image.shape
        image = reflected(image, *padded_size(height, width, self._multiple))
        mean, std = (
            np.array(values, np.float32).reshape(1, -1, 1, 1)
            for values in (self._normalisation.mean, self._normalisation.std)
        )
        return Scene(np.ascontiguousarray((image - mean) / std, np.float32), mask)

    def odd(self) -> list[Scene]:
        """Scenes of sizes that no training crop had: sides of odd multiples, a wide one; none if fixed."""
        if self._size is not None:
            return []
        height, width = self.scene(0).tensor.shape[2:]
        step = self._multiple
        odd = tuple(step * (side // step + 1 + side // step % 2) for side in (height, width))
        return [self.scene(0, odd), self.scene(len(self) - 1, (height, 2 * width + step))]


def reflected(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The top left (height, width) of an image that goes on beyond its borders as in a mirror."""
    cut = image[:height, :width]
    return np.pad(cut, ((0, height - cut.shape[0]), (0, width - cut.shape[1])), mode="reflect")


def spread(indices: Sequence[int], count: int) -> list[int]:
    """``count`` of the indices, evenly over all of them; all of them if there are no more."""
    count = min(count, len(indices))
    return [indices[position * len(indices) // count] for position in range(count)]
