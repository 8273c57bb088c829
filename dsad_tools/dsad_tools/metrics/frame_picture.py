"""What a report shows of single frames."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FramePicture:
    """A frame to be drawn in the report: (H, W) image, predicted mask, and the truth as mask or boxes."""

    title: str
    image: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray | None = None
    boxes: np.ndarray | None = None

    @property
    def labelled(self) -> bool:
        return self.truth is not None or self.boxes is not None


@dataclass(frozen=True, slots=True)
class Mark:
    """A rectangle around one target or prediction, in pixels.

    Attributes:
        kind: of a target ``truth`` (found) or ``missed``; of a prediction ``hit``, ``false`` or ``unlabelled``.
    """

    kind: str
    x: float
    y: float
    width: float
    height: float

    def around(self, margin: float) -> "Mark":
        return Mark(
            self.kind, self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin
        )


@dataclass(frozen=True, slots=True)
class FilmFrame:
    """One frame of the player; ``jpeg`` is the frame in 8 bits."""

    number: int
    title: str
    jpeg: bytes
    width: int
    height: int
    marks: tuple[Mark, ...]
