"""Periodic random textures: they tile without a seam, so drifting over them never runs out."""

import cv2
import numpy as np


def _frequencies(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]


def spectral(
    size: int,
    rng: np.random.Generator,
    slope: float,
    *,
    longest: float,
    shortest: float,
    stretch: float = 1.0,
) -> np.ndarray:
    """Gaussian random field with a power-law spectrum, made by filtering white noise.

    Args:
        size: side of the square tile, pixels.
        slope: amplitude falls as frequency ** -slope; 1 is rough, 2 smooth.
        longest: wavelength above which power stops growing, pixels.
        shortest: wavelength below which power vanishes, pixels (the optics see no finer).
        stretch: above 1 elongates features along x by that factor.

    Returns:
        (size, size) float32 with mean 0 and standard deviation 1.
    """
    fy, fx = _frequencies(size)
    radius = np.hypot(fy, fx * stretch)
    gain = np.maximum(radius, 1.0 / longest) ** -slope * np.exp(-((radius * shortest) ** 2) / 2)
    gain[0, 0] = 0.0
    white = np.fft.rfft2(rng.standard_normal((size, size)))
    field = np.fft.irfft2(white * gain, s=(size, size))
    return (field / field.std()).astype(np.float32)


def ridged(
    size: int, rng: np.random.Generator, *, longest: float, shortest: float, octaves: int = 5
) -> np.ndarray:
    """Ridged multifractal relief: the creases of several octaves of noise become ridge lines.

    Returns:
        (size, size) float32 in [0, 1], 1 on the highest ridges.
    """
    relief = np.zeros((size, size), np.float32)
    weight = np.ones_like(relief)
    amplitude = 1.0
    for octave in range(octaves):
        wave = longest / 2**octave
        crease = spectral(size, rng, 3.0, longest=wave, shortest=max(wave / 3, shortest))
        ridge = np.square(1.0 - np.minimum(np.abs(crease) / 1.6, 1.0)) * weight
        relief += amplitude * ridge
        weight = np.clip(ridge * 1.6, 0.0, 1.0)
        amplitude *= 0.55
    relief -= relief.min()
    return relief / relief.max()


def shaded(relief: np.ndarray, depth: float) -> np.ndarray:
    """Slope of a periodic relief towards the sun (upper left), float32 in [-1, 1].

    Slopes that face the sun are warmer; ``depth`` is how steep the relief is taken to be.
    """
    east = (np.roll(relief, -1, 1) - np.roll(relief, 1, 1)) * depth
    south = (np.roll(relief, -1, 0) - np.roll(relief, 1, 0)) * depth
    return ((east + south) / np.sqrt(2.0 * (1.0 + east**2 + south**2))).astype(np.float32)


def smoothstep(low: float, high: float, values: np.ndarray) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


class Window:
    """A (height, width) view that slides over a periodic tile with sub-pixel steps."""

    def __init__(self, tile: np.ndarray, height: int, width: int):
        self._size = tile.shape[0]
        # A border of one window turns every view into a plain slice of the repeated tile.
        self._tile = np.ascontiguousarray(np.pad(tile, ((0, height + 1), (0, width + 1)), mode="wrap"))
        self._shape = (height, width)

    def at(self, y: float, x: float) -> np.ndarray:
        """(height, width) float32 whose top left pixel lies at (y, x) of the tile, bilinear."""
        height, width = self._shape
        y, x = y % self._size, x % self._size
        top, left = int(y), int(x)
        fy, fx = y - top, x - left
        patch = self._tile[top : top + height + 1, left : left + width + 1]
        kernel_y = np.array([0.0, 1.0 - fy, fy], np.float32)
        kernel_x = np.array([0.0, 1.0 - fx, fx], np.float32)
        return cv2.sepFilter2D(patch, cv2.CV_32F, kernel_x, kernel_y)[:height, :width]
