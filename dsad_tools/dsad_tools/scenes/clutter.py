"""Thermal backgrounds: drifting cloud, sea under a perspective, terrain relief, and a coast of all three.

Every class gives ``at(frame)``: the apparent temperature (height, width), float32 kelvin relative to the
scene's middle, a closed form of the frame number. Temperatures span some 15 K, as a scene with cool sky
does in the 8 to 14 micrometre band. The drifts are pixels a frame.
"""

import cv2
import numpy as np

from dsad_tools.scenes.textures import Window, ridged, shaded, smoothstep, spectral

TILE = 1024


class Cloud:
    """Broken cloud in two layers over a clear sky that warms towards the bottom of the frame."""

    def __init__(self, height: int, width: int, rng: np.random.Generator):
        heap = spectral(TILE, rng, 1.75, longest=320, shortest=3.0, stretch=1.3)
        veil = spectral(TILE, rng, 1.6, longest=260, shortest=4.0, stretch=2.2)
        cover = rng.uniform(-0.2, 0.5)
        body = smoothstep(cover, cover + 1.1, heap)
        self._heap = Window(body * (3.6 + 0.9 * heap), height, width)
        self._veil = Window(0.7 * veil, height, width)
        rows = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
        self._sky = (2.2 * rows + 0.8 * rows**2) * np.ones((1, width), np.float32) - 3.0
        self._drift = rng.uniform(0.2, 0.6) * rng.choice([-1, 1]), rng.uniform(-0.08, 0.08)

    def at(self, frame: float) -> np.ndarray:
        dx, dy = self._drift
        low = self._heap.at(frame * dy, frame * dx)
        # The high veil is farther away: it drifts more slowly.
        return self._sky + low + self._veil.at(frame * dy * 0.4, frame * dx * 0.45)


class Sea:
    """Crossing wave trains, foreshortened towards a horizon, with sun glint on the steep crests.

    Args:
        horizon: row of the horizon, may be negative; only the rows below it are sea.
    """

    def __init__(self, height: int, width: int, rng: np.random.Generator, horizon: float = -60.0):
        self._waves = [
            np.ascontiguousarray(spectral(TILE, rng, slope, longest=longest, shortest=2.2, stretch=stretch))
            for slope, longest, stretch in ((1.6, 40.0, 2.2), (1.2, 20.0, 1.6))
        ]
        depth = np.maximum(np.arange(height, dtype=np.float32) - horizon, 0.0)
        near = depth / max(depth[-1], 1.0)
        # Distance grows as 1 / depth; the logarithm keeps its look with a bounded step, so that the far
        # waves do not alias.
        step = 2.4 / (0.25 + near)
        self._v = np.repeat(np.cumsum(step)[:, None], width, axis=1).astype(np.float32)
        centred = np.arange(width, dtype=np.float32) - width / 2
        self._u = (centred[None, :] * (0.7 / (0.22 + near))[:, None]).astype(np.float32)
        # A far pixel averages over many waves: contrast fades towards the horizon.
        self._contrast = (0.25 + 0.75 * near)[:, None].astype(np.float32)
        self._warmth = (-2.5 + 2.0 * np.exp(-near * 6.0))[:, None].astype(np.float32)
        lane = rng.uniform(0.2, 0.8) * width
        beside = (np.arange(width, dtype=np.float32) - np.float32(lane)) / np.float32(0.22 * width)
        self._glint = np.exp(-np.square(beside))[None, :]
        self._speed = (0.55, 0.35), (-0.4, 0.7)

    def at(self, frame: float) -> np.ndarray:
        trains = []
        for wave, (du, dv) in zip(self._waves, self._speed):
            u = self._u + np.float32(frame * du % TILE)
            v = self._v + np.float32(frame * dv % TILE)
            trains.append(cv2.remap(wave, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
        swell = 0.62 * trains[0] + 0.5 * trains[1]
        crest = np.square(np.maximum(swell - 0.75, 0.0))
        return self._warmth + self._contrast * (0.55 * swell + (0.25 + 1.4 * self._glint) * crest)


class Terrain:
    """Land seen from above: sunlit relief with ridge lines, patches of cover with sharp edges, tracks."""

    def __init__(self, height: int, width: int, rng: np.random.Generator):
        relief = ridged(TILE, rng, longest=260, shortest=3.5)
        sun = shaded(relief, depth=22.0)
        grain = spectral(TILE, rng, 0.9, longest=40, shortest=2.2)
        cover = spectral(TILE, rng, 2.0, longest=170, shortest=3.0)
        # Vegetation stays cool, bare soil is warm; a narrow step between them makes the edge.
        patches = 1.3 * smoothstep(0.05, 0.22, cover) + 0.9 * smoothstep(0.95, 1.1, cover)
        way = spectral(TILE, rng, 3.0, longest=420, shortest=40)
        tracks = np.exp(-np.square(way / 0.012)) * 1.2
        ground = 1.2 * sun + 1.6 * (relief - 0.4) + patches + tracks + 0.3 * grain
        self._ground = Window(ground.astype(np.float32), height, width)
        heading = rng.uniform(0, 2 * np.pi)
        speed = rng.uniform(0.25, 0.7)
        self._drift = speed * np.cos(heading), speed * np.sin(heading)

    def at(self, frame: float) -> np.ndarray:
        dx, dy = self._drift
        return self._ground.at(frame * dy, frame * dx)


class Coast:
    """Cloud above, a ridge that sinks into the horizon, sea below; the camera pans slowly."""

    def __init__(self, height: int, width: int, rng: np.random.Generator):
        horizon = round(rng.uniform(0.48, 0.62) * height)
        self._horizon = horizon
        self._sky = Cloud(height, width, rng)
        self._land = Terrain(2 * horizon, width, rng)
        self._sea = Sea(height - horizon, width, rng, horizon=0.0)
        massif = spectral(TILE, rng, 3.0, longest=700, shortest=200)[0]
        rocks = spectral(TILE, rng, 1.9, longest=150, shortest=3.0)[0]
        massif = np.maximum((massif - massif.mean()) / massif.std() + 0.6, 0.0)
        self._crest = np.maximum(np.minimum(massif, 2.0) * (0.09 + 0.025 * rocks), 0.0) * height
        self._columns = np.arange(width, dtype=np.float64)
        self._rows = np.arange(horizon, dtype=np.float32)[:, None]
        self._pan = rng.uniform(0.1, 0.3)

    def at(self, frame: float) -> np.ndarray:
        scene = self._sky.at(frame)
        horizon = self._horizon
        crest = np.interp(self._columns + frame * self._pan, np.arange(TILE), self._crest, period=TILE)
        top = (horizon - crest).astype(np.float32)
        # Partly covered pixels on the crest line mix land and sky: no staircase.
        land = np.clip(self._rows - top[None, :] + 0.5, 0.0, 1.0)
        # Haze takes contrast from far land; the slope, seen from the side, foreshortens it.
        slope = cv2.resize(self._land.at(frame), (scene.shape[1], horizon), interpolation=cv2.INTER_AREA)
        ground = 0.2 + 0.7 * slope
        scene[:horizon] += land * (ground - scene[:horizon])
        scene[horizon:] = self._sea.at(frame)
        return scene


TERRAINS: dict[str, type] = {"mixed": Coast, "cloud": Cloud, "sea": Sea, "terrain": Terrain}
