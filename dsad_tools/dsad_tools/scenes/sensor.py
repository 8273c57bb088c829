"""An uncooled thermal camera: noise, counts, and the 8-bit stretch for display."""

import numpy as np

NETD = 0.06  # temporal noise, kelvin (one sigma)
COLUMN_NOISE = 0.035  # fixed pattern, kelvin (one sigma): column amplifiers differ
COUNTS_PER_KELVIN = 40.0
OFFSET = 7000.0  # counts at the scene's middle temperature
FULL_SCALE = 2**14 - 1


class Sensor:
    """Turns apparent temperature (kelvin relative to the scene's middle) into counts.

    Args:
        dtype: ``uint16`` gives 14-bit counts around 7000; ``uint8`` stretches ``span`` over 8 bits, as a
            camera's automatic gain does.
        span: coldest and hottest temperature of the 8-bit stretch, kelvin.
    """

    def __init__(self, width: int, dtype: str, span: tuple[float, float], seed: int):
        self._seed = seed
        self._columns = np.random.default_rng((seed, 1 << 20)).normal(0, COLUMN_NOISE, width)
        self.dtype = np.dtype(dtype)
        low, high = span
        if dtype == "uint8":
            self._gain, self._offset, self._top = 255.0 / (high - low), -255.0 * low / (high - low), 255
        else:
            self._gain, self._offset, self._top = COUNTS_PER_KELVIN, OFFSET, FULL_SCALE

    def expose(self, scene: np.ndarray, frame: int) -> np.ndarray:
        """(H, W) counts of frame number ``frame``; ``scene`` (H, W) float32 is used up."""
        rng = np.random.Generator(np.random.SFC64((self._seed, 1 << 21, frame)))
        noise = rng.standard_normal(scene.shape, dtype=np.float32)
        noise *= np.float32(NETD * self._gain)
        scene *= np.float32(self._gain)
        scene += noise
        scene += (self._columns * self._gain + self._offset + 0.5).astype(np.float32)
        np.clip(scene, 0, self._top, out=scene)
        return scene.astype(self.dtype)
