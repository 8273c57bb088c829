"""Seeded infrared scenes with exact truth: small moving targets over drifting clutter."""

from collections.abc import Iterator
from functools import cached_property

import cv2
import numpy as np

from dsad_core.errors import UsageError
from dsad_tools.data.sample import Sample
from dsad_tools.scenes.clutter import TERRAINS
from dsad_tools.scenes.sensor import COLUMN_NOISE, NETD, Sensor
from dsad_tools.scenes.targets import LARGEST, Spot, Track, draw

SMALLEST_SIDE, LARGEST_SIDE = 32, 4096
BLUR = 0.75  # sigma of the optics' Gaussian point spread, pixels
DTYPES = ("uint8", "uint16")


class SceneGenerator:
    """A synthetic thermal camera; a source of samples with exact masks.

    Targets are hot ellipses 0.4 to 9 px long that cross the frame, come and go and may overlap. The mask
    is exact: a pixel is target where one target's own noise-free contribution, through the optics,
    exceeds half of that target's highest pixel value in this frame, and where it holds a centroid. Targets
    that overlap are added up; their masks are united.

    ``snr`` is the peak a target would have when centred on a pixel, over the scene's disturbance: the
    root of the summed variances of temporal noise, column noise and the clutter in 9x9 px windows (mean
    over the first frame).

    A frame is a function of (seed, index) alone, so any frame can be asked for at once; the same
    versions of NumPy and OpenCV give the same bytes.

    Args:
        height, width: 32 to 4096 px.
        frames: number of frames, at least 1.
        seed: 0 or above.
        dtype: ``uint8`` (stretched as by automatic gain) or ``uint16`` (14-bit counts around 7000).
        targets: fewest and most targets under way at a time; 0 to 64.
        terrain: ``mixed`` (cloud, ridge and sea), ``cloud``, ``sea`` or ``terrain``.
        snr: lowest and highest signal-to-noise ratio of a target.
        fps: frame rate that the motion is meant for, Hz.

    Raises:
        UsageError: an argument outside its range.
    """

    kind = "synthetic"

    def __init__(
        self,
        height: int = 256,
        width: int = 256,
        frames: int = 300,
        seed: int = 0,
        dtype: str = "uint8",
        targets: tuple[int, int] = (1, 3),
        terrain: str = "mixed",
        snr: tuple[float, float] = (8.0, 25.0),
        fps: float = 25.0,
    ):
        _check(height, width, frames, seed, dtype, targets, terrain, snr, fps)
        self.height, self.width = height, width
        self.fps: float | None = fps
        self.name = f"synthetic-{terrain}-{width}x{height}-{dtype}-seed{seed}"
        self.split_hash = ""
        self.notes: list[str] = []
        self._frames = frames
        self._terrain, self._dtype, self._seed = terrain, dtype, seed
        fewest, most = targets
        self._tracks = [
            Track(height, width, seed, slot, snr, 1.0 if slot < fewest else 0.5) for slot in range(most)
        ]

    # What takes seconds comes with the first frame, in the thread that reads frames.

    @cached_property
    def _clutter(self):
        return TERRAINS[self._terrain](self.height, self.width, np.random.default_rng((self._seed, 1 << 22)))

    @cached_property
    def _views(self) -> list[np.ndarray]:
        return [self._clutter.at(frame) for frame in {0, self._frames // 2, self._frames - 1}]

    @cached_property
    def _sensor(self) -> Sensor:
        margin = 6 * NETD
        span = (
            min(float(np.percentile(view, 0.1)) for view in self._views) - margin,
            max(float(np.percentile(view, 99.9)) for view in self._views) + margin,
        )
        return Sensor(self.width, self._dtype, span, self._seed)

    @cached_property
    def _disturbance(self) -> float:
        return _disturbance(self._views[0])

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(self._frames))

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._frames:
            raise IndexError(f"frame {index} of {self._frames}")
        scene, mask = self.compose(index)
        return Sample(f"{index:06d}", self._sensor.expose(scene, index), mask)

    def compose(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Frame ``index`` before the sensor: (H, W) float32 kelvin and the truth mask, uint8 0 or 255."""
        scene = self._clutter.at(index)
        mask = np.zeros(scene.shape, np.uint8)
        for spot in self.spots(index):
            self._place(spot, scene, mask)
        return scene, mask

    def spots(self, index: int) -> list[Spot]:
        """The targets whose centre lies in frame ``index`` or so near that they may reach into it."""
        return [spot for _, spot in self.known_spots(index)]

    def known_spots(self, index: int) -> list[tuple[int, Spot]]:
        """As `spots`, each with its target's id: the same in every frame of one pass, and of no other pass."""
        reach = LARGEST / 2 + 4 * BLUR
        found = (
            (slot + len(self._tracks) * track.pass_number(index), track.at(index))
            for slot, track in enumerate(self._tracks)
        )
        return [
            (number, spot)
            for number, spot in found
            if spot is not None
            and -reach < spot.x < self.width + reach
            and -reach < spot.y < self.height + reach
        ]

    def _place(self, spot: Spot, scene: np.ndarray, mask: np.ndarray) -> None:
        stamp = draw(spot, BLUR)
        side = stamp.mask.shape[0]
        rows = slice(max(stamp.top, 0), min(stamp.top + side, self.height))
        columns = slice(max(stamp.left, 0), min(stamp.left + side, self.width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        inside = (
            slice(rows.start - stamp.top, rows.stop - stamp.top),
            slice(columns.start - stamp.left, columns.stop - stamp.left),
        )
        scene[rows, columns] += spot.snr * self._disturbance * stamp.light[inside]
        mask[rows, columns][stamp.mask[inside]] = 255


def _disturbance(view: np.ndarray) -> float:
    """What a target has to stand out from, kelvin: noise and the local spread of the clutter."""
    mean = cv2.blur(view, (9, 9))
    variance = float(np.square(view - mean).mean())
    return float(np.sqrt(variance + NETD**2 + COLUMN_NOISE**2))


def _check(
    height: int,
    width: int,
    frames: int,
    seed: int,
    dtype: str,
    targets: tuple[int, int],
    terrain: str,
    snr: tuple[float, float],
    fps: float,
) -> None:
    for name, side in (("height", height), ("width", width)):
        if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
            raise UsageError(f"{name} {side} is outside {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    if frames < 1:
        raise UsageError(f"frames {frames}: a scene needs at least 1")
    if seed < 0:
        raise UsageError(f"seed {seed} is negative; use 0 or above")
    if dtype not in DTYPES:
        raise UsageError(f"dtype '{dtype}' is not one of {', '.join(DTYPES)}")
    if not 0 <= targets[0] <= targets[1] <= 64:
        raise UsageError(f"targets {tuple(targets)}: give fewest and most, 0 <= fewest <= most <= 64")
    if terrain not in TERRAINS:
        raise UsageError(f"terrain '{terrain}' is not one of {', '.join(TERRAINS)}")
    if not 0 < snr[0] <= snr[1]:
        raise UsageError(f"snr {tuple(snr)}: give lowest and highest, both above 0")
    if not 0 < fps <= 10_000:
        raise UsageError(f"fps {fps} is outside 0 to 10000 Hz")
