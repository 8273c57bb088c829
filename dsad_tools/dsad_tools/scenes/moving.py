"""Scenes for trackers: targets with ids that cross, come and go, a camera that pans, and its corrections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsad_core.errors import UsageError
from dsad_tools.data.sample import Sample
from dsad_tools.scenes.generator import SceneGenerator
from dsad_tools.scenes.sensor import Sensor

#: How far the camera swings from its middle, pixels.
SWING = 96
#: A labelled target's box reaches this far beyond its hot ellipse, pixels a side.
BOX_RIM = 3.0
#: A correction: the picture freezes, then shows the shutter, then comes back at another level, seconds.
FREEZE_S, SHUTTER_S = 0.2, 0.2
#: Largest step of the level after a correction, kelvin.
LARGEST_STEP = 4.0
_MARGIN_K = 2.0


class MovingScene:
    """A `SceneGenerator` seen through a camera that pans, with boxes and ids; a source of samples.

    The camera swings to and fro, ``pan`` pixels a frame; truth is in the pixels of its frames. Every
    ``correction_s`` seconds it corrects itself as uncooled cameras do: the picture freezes, shows the shutter, and
    comes back at another level. Frames during a correction are labelled with nothing known (boxes None).

    Args:
        height, width, frames, seed, dtype, targets, terrain, snr, fps: as for `SceneGenerator`.
        pan: pixels a frame, 0 to 8.
        correction_s: seconds from one correction to the next, 1 and up; None for none.

    Raises:
        UsageError: an argument outside its range.
    """

    kind = "sequence"
    split_hash = ""

    def __init__(
        self,
        height: int = 256,
        width: int = 320,
        frames: int = 300,
        seed: int = 0,
        dtype: str = "uint8",
        targets: tuple[int, int] = (2, 5),
        terrain: str = "mixed",
        snr: tuple[float, float] = (8.0, 25.0),
        fps: float = 30.0,
        pan: float = 0.0,
        correction_s: float | None = None,
    ):
        if not 0.0 <= pan <= 8.0:
            raise UsageError(f"pan {pan} is outside 0 to 8 pixels a frame")
        if correction_s is not None and not correction_s >= 1.0:
            raise UsageError(f"correction_s {correction_s} must be 1 second or more")
        self._wide = SceneGenerator(
            height, width + 2 * SWING, frames, seed, dtype, targets, terrain, snr, fps
        )
        self.height, self.width, self.fps = height, width, fps
        self.name = f"moving-{terrain}-{width}x{height}-{dtype}-pan{pan:g}-seed{seed}"
        self.notes: list[str] = []
        self._frames, self._seed, self._pan = frames, seed, pan
        self._every = None if correction_s is None else round(correction_s * fps)
        first = self._wide.compose(0)[0]
        span = (float(np.percentile(first, 0.1)) - _MARGIN_K, float(np.percentile(first, 99.9)) + _MARGIN_K)
        self._sensor = Sensor(width, dtype, span, seed)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(self._frames))

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._frames:
            raise IndexError(f"frame {index} of {self._frames}")
        name = f"{index:06d}"
        every = self._every or index + 1
        number, phase = divmod(index, every)
        if number and phase < round(FREEZE_S * self.fps):
            return Sample(name, self._frame(number * every - 1), boxes=None)
        if number and phase < round((FREEZE_S + SHUTTER_S) * self.fps):
            closed = np.zeros((self.height, self.width), np.float32)
            return Sample(name, self._sensor.expose(closed, index), boxes=None)
        boxes, ids = self._truth(index)
        return Sample(name, self._frame(index), boxes=boxes, ids=ids)

    def offset(self, index: int) -> int:
        """Column of the wide scene at the frame's left border."""
        if not self._pan:
            return SWING
        # A triangle between -1 and 1 that starts at 0.
        phase = (index * self._pan / SWING + 1.0) % 4.0
        return round(SWING + SWING * (1.0 - abs(phase - 2.0)))

    def _frame(self, index: int) -> np.ndarray:
        left = self.offset(index)
        scene = self._wide.compose(index)[0][:, left : left + self.width].copy()
        number = index // self._every if self._every else 0
        if number:
            scene += np.float32(
                np.random.default_rng((self._seed, 7, number)).uniform(-LARGEST_STEP, LARGEST_STEP)
            )
        return self._sensor.expose(scene, index)

    def _truth(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        boxes, ids, left = [], [], self.offset(index)
        for number, spot in self._wide.known_spots(index):
            x, y = spot.x - left, spot.y
            if 1 <= x < self.width - 1 and 1 <= y < self.height - 1:
                reach = spot.length / 2 + BOX_RIM
                boxes.append((x - reach, y - reach, 2 * reach + 1, 2 * reach + 1))
                ids.append(number)
        return np.array(boxes, np.float32).reshape(-1, 4), np.array(ids, np.int64)
