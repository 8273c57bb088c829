"""Grey frames of any type to the unit range that networks were trained on.

An 8-bit frame is divided by 255, as in training. A 16-bit or float frame comes in counts, kelvin or
radiance of unknown range and gets an affine map instead. ``value_range`` states it; by default it is
estimated for each frame, so that

- one hot pixel cannot squeeze a faint target into the noise: the range follows percentiles, and what
  lies above is clipped to 1;
- a target warmer than everything else keeps its contrast against warm clutter: there is headroom
  above the upper percentile;
- a flat frame stays flat: the range never gets below ``NOISE_SPAN`` times the noise of the frame.
"""

import numpy as np

from dsad_core.errors import UsageError

#: Percentiles of the frame that bound its clutter.
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
#: Room below and above them, as a share of the distance between them.
FOOTROOM, HEADROOM = 0.3, 0.7
#: The least width of the range in standard deviations of the pixel noise.
NOISE_SPAN = 32.0
#: The estimate looks at about so many pixels, on a regular grid.
SAMPLES = 5000


def unit_range(frame: np.ndarray, value_range: tuple[float, float] | None = None) -> tuple[float, float]:
    """The pixel values that become 0 and 1.

    Args:
        frame: (H, W) uint8, uint16 or float32 without NaN.
        value_range: (low, high) to use for uint16 and float32 frames in place of an estimate.

    Raises:
        UsageError: ``value_range`` is not two finite numbers, low below high.
    """
    if frame.dtype == np.uint8:
        return 0.0, 255.0
    if value_range is not None:
        return check_value_range(value_range)
    height, width = frame.shape
    stride = max(1, int(np.sqrt(height * width / SAMPLES)))
    sample = frame[::stride, ::stride].astype(np.float32)
    ordered = np.sort(sample, axis=None)
    last = ordered.size - 1
    low, high = (float(ordered[round(last * percent / 100)]) for percent in (LOW_PERCENTILE, HIGH_PERCENTILE))
    span = high - low
    low, high = low - FOOTROOM * span, high + HEADROOM * span
    least = max(NOISE_SPAN * _noise(frame, sample, stride), _resolution(frame, low, high))
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    return low, high


def check_value_range(value_range: tuple[float, float]) -> tuple[float, float]:
    """Return it as two floats; UsageError unless both are finite and low is below high."""
    low, high = (float(value) for value in value_range)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise UsageError(
            f"value_range ({low}, {high}) must be two finite numbers, the first below the second"
        )
    return low, high


def to_unit(
    frame: np.ndarray, value_range: tuple[float, float] | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """Map a frame to [0, 1], clipped.

    Args:
        frame: (H, W) uint8, uint16 or float32 without NaN.
        value_range: see ``unit_range``.
        out: (H, W) float32 to write into, strided or not; allocated if absent.

    Returns:
        ``out``.
    """
    return scale_into(frame, unit_range(frame, value_range), 0.0, 1.0, out)


def scale_into(
    frame: np.ndarray, span: tuple[float, float], mean: float, std: float, out: np.ndarray | None = None
) -> np.ndarray:
    """``(unit - mean) / std`` of the clipped unit image in two passes over the pixels.

    Args:
        frame: (H, W) uint8, uint16 or float32.
        span: pixel values that become 0 and 1 before ``mean`` and ``std`` apply.
        out: (H, W) float32 to write into; allocated if absent.
    """
    low, high = span
    if out is None:
        out = np.empty(frame.shape, np.float32)
    # Subtract first: a frame in kelvin or large counts loses its last digits the other way round.
    offset = low + mean * (high - low)
    np.subtract(frame, np.float32(offset), out=out, dtype=np.float32, casting="unsafe")
    np.multiply(out, np.float32(1.0 / ((high - low) * std)), out=out)
    if frame.dtype != np.uint8:
        np.clip(out, np.float32(-mean / std), np.float32((1.0 - mean) / std), out=out)
    return out


def _noise(frame: np.ndarray, sample: np.ndarray, stride: int) -> float:
    """Standard deviation of the pixel noise: median difference of neighbours in a row, Gaussian."""
    if stride < 2:
        differences = np.diff(sample, axis=1)
    else:
        neighbours = frame[::stride, 1::stride].astype(np.float32)
        differences = sample[:, : neighbours.shape[1]] - neighbours
    if differences.size == 0:
        return 0.0
    # 0.6745 is the median of |N(0, 1)|; a difference of two has sqrt(2) times the deviation.
    return float(np.median(np.abs(differences))) / (0.6745 * np.sqrt(2.0))


def _resolution(frame: np.ndarray, low: float, high: float) -> float:
    """Least range of a frame whose noise estimate is zero: where few levels are in use."""
    if frame.dtype == np.uint16:
        return NOISE_SPAN
    return NOISE_SPAN * float(np.spacing(np.float32(max(abs(low), abs(high), 1e-30)))) * 16
