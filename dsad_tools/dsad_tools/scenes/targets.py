"""Small moving targets: their paths, and how the optics spread them over pixels."""

from dataclasses import dataclass

import cv2
import numpy as np

FINEST, LARGEST = 0.4, 9.0  # target length in pixels: from far below a pixel to 9
OVERSAMPLING = 5  # fine samples a pixel while a target is drawn


@dataclass(frozen=True)
class Spot:
    """One target in one frame.

    Attributes:
        x, y: centre in pixels, the centre of the top left pixel being (0, 0); may lie outside the frame.
        length: of the hot ellipse before blur, pixels.
        aspect: width over length, 0..1.
        angle: of the long axis, radians.
        snr: peak of a centred image of the target over the scene's disturbance (see SceneGenerator).
    """

    x: float
    y: float
    length: float
    aspect: float
    angle: float
    snr: float


class Track:
    """A slot through which targets pass, one after the other, each on its own path across the frame.

    A pass starts and ends outside the frame, so targets come and go as they do in the field. Everything
    follows from (seed, slot, pass number): any frame can be asked for at once.

    Args:
        presence: probability that a pass holds a target at all.
    """

    def __init__(
        self, height: int, width: int, seed: int, slot: int, snr: tuple[float, float], presence: float
    ):
        self._height, self._width = height, width
        self._key = (seed, slot)
        self._snr = snr
        self._presence = presence
        rng = np.random.default_rng((*self._key, 0))
        diagonal = float(np.hypot(height, width))
        self._period = diagonal / rng.uniform(0.8, 2.2)
        # Most slots are in mid-pass at frame 0, so that a short scene has targets too.
        self._phase = rng.uniform(0.25, 0.6) * self._period

    def pass_number(self, frame: float) -> int:
        """Which pass of the slot is under way, from 0."""
        return int((frame + self._phase) // self._period)

    def at(self, frame: float) -> Spot | None:
        """The slot's target, or None while the slot is empty. It may be outside the frame."""
        number, elapsed = divmod(frame + self._phase, self._period)
        rng = np.random.default_rng((*self._key, 1 + int(number)))
        if rng.uniform() >= self._presence:
            return None
        via = np.array([rng.uniform(0.2, 0.8) * self._width, rng.uniform(0.15, 0.85) * self._height])
        heading = rng.normal(0, 0.45) + (np.pi if rng.uniform() < 0.5 else 0.0)
        along = np.array([np.cos(heading), np.sin(heading)])
        # Start and end where the straight path, with the weave beside it, has left the frame.
        weave = rng.uniform(0, 6.0)
        bounds = np.array([self._width, self._height]) + LARGEST + weave
        with np.errstate(divide="ignore"):
            exits = np.sort([(-LARGEST - weave - via) / along, (bounds - via) / along], axis=0)
        start, end = exits[0].max(), exits[1].min()
        share = elapsed / self._period
        turns = rng.uniform(0.5, 2.5)
        centre = (
            via
            + along * (start + (end - start) * share)
            + np.array([-along[1], along[0]]) * weave * np.sin(2 * np.pi * turns * share)
        )
        # Sizes are drawn evenly in the logarithm and change as the target comes closer or recedes.
        length = np.exp(rng.uniform(np.log(FINEST), np.log(LARGEST)))
        length *= np.exp(rng.uniform(-0.4, 0.4) * np.cos(2 * np.pi * share))
        return Spot(
            float(centre[0]),
            float(centre[1]),
            float(np.clip(length, FINEST, LARGEST)),
            rng.uniform(0.45, 1.0),
            heading + rng.normal(0, 0.2),
            rng.uniform(*self._snr),
        )


@dataclass(frozen=True)
class Stamp:
    """A target as the sensor sees it without noise.

    Attributes:
        left, top: pixel of the frame that holds the patch's corner.
        light: (S, S) float32 relative contribution; 1 is the peak of the same target centred on a pixel.
        mask: (S, S) bool, where ``light`` exceeds half its highest value, and the centroid's pixel.
    """

    left: int
    top: int
    light: np.ndarray
    mask: np.ndarray


def draw(spot: Spot, blur: float) -> Stamp:
    """Image ``spot`` through a Gaussian point spread of ``blur`` pixels (sigma) onto square pixels."""
    side = 2 * int(np.ceil(spot.length / 2 + 4 * blur)) + 3
    left, top = round(spot.x) - side // 2, round(spot.y) - side // 2
    moved = _pixels(spot, side, spot.x - left, spot.y - top, blur)
    centred = _pixels(spot, side, side // 2, side // 2, blur)
    mask = moved > 0.5 * moved.max()
    mask[round(spot.y) - top, round(spot.x) - left] = True
    return Stamp(left, top, moved / centred.max(), mask)


def _pixels(spot: Spot, side: int, x: float, y: float, blur: float) -> np.ndarray:
    fine = (np.arange(side * OVERSAMPLING, dtype=np.float32) + 0.5) / OVERSAMPLING - 0.5
    dx, dy = fine[None, :] - x, fine[:, None] - y
    cos, sin = np.cos(spot.angle), np.sin(spot.angle)
    long, short = spot.length / 2, spot.length * spot.aspect / 2
    # A soft edge of one fine sample stands in for exact area coverage; it also keeps a target that is
    # smaller than a fine sample from vanishing between samples.
    edge = 1.0 / OVERSAMPLING
    radius = np.sqrt(
        np.square((dx * cos + dy * sin) / (long + edge)) + np.square((dy * cos - dx * sin) / (short + edge))
    )
    shape = np.clip((1.0 - radius) * (short + edge) / edge, 0.0, 1.0).astype(np.float32)
    seen = cv2.GaussianBlur(shape, (0, 0), blur * OVERSAMPLING)
    return seen.reshape(side, OVERSAMPLING, side, OVERSAMPLING).mean((1, 3))
