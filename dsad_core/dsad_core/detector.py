"""From a grey frame to mask and targets: the one way, for node, evaluation and benchmark."""

import math
import time
from dataclasses import dataclass

import numpy as np

from dsad_core.components import Components
from dsad_core.engines.protocol import Engine
from dsad_core.errors import EngineError, FrameError, NotFiniteError, UsageError
from dsad_core.frame.geometry import padded_size
from dsad_core.frame.normalise import check_value_range, scale_into, unit_range
from dsad_core.frame.region import Region
from dsad_core.frame.timing import DETECTOR_STAGES, durations
from dsad_core.hysteresis import find_targets
from dsad_core.targets import Target, extract_targets, sigmoid


@dataclass(frozen=True)
class Detection:
    """The answer to one frame.

    Attributes:
        mask: (H, W) uint8, 0 or 255, of the frame's own size.
        targets: components of the mask, highest score first, at most the detector's ``max_targets``.
        components: of the mask.
        logits: (H, W) float32 behind the mask, valid until the detector's next frame.
        start_ns, preprocess_end_ns, inference_end_ns, postprocess_end_ns: ``time.monotonic_ns``.
        targets_cut: components of the mask that are not in ``targets``, because they were too many.
    """

    mask: np.ndarray
    targets: list[Target]
    components: Components
    logits: np.ndarray
    start_ns: int
    preprocess_end_ns: int
    inference_end_ns: int
    postprocess_end_ns: int

    @property
    def targets_cut(self) -> int:
        return len(self.components) - len(self.targets)

    def durations(self) -> dict[str, int]:
        """Nanoseconds by stage, of `DETECTOR_STAGES`."""
        ends = self.preprocess_end_ns, self.inference_end_ns, self.postprocess_end_ns
        return durations(DETECTOR_STAGES, (self.start_ns, *ends))


class Detector:
    """Runs an engine on frames of any size.

    A frame is never resized, small targets would vanish: it is padded by reflection at the right and
    the bottom to the engine's multiple, and the logits are cropped back. Buffers are kept from frame
    to frame, so one detector serves one thread.

    Args:
        engine: a loaded engine; the detector does not close it.
        threshold: probability that a target's highest pixel exceeds; None for the manifest's. A target reaches over
            the connected pixels above the manifest's ``outline``, where that is lower.
        value_range: pixel values (low, high) that become 0 and 1 in 16-bit and float frames; None
            to estimate them for each frame (``frame.normalise``). 8-bit frames are divided by 255.
        min_area: components of fewer pixels are removed from mask and targets.
        max_targets: the best by score are listed, the mask keeps all; None lists all.
        region: what of a frame is scene; None for all of it.
        build_on_demand: on an engine that ``builds``, a frame of a size that ``warm_up`` has not prepared
            waits for minutes until the engine is built; False refuses it.

    Attributes:
        score: of logits, what a target with this peak is worth: see `targets.Target`.

    Raises:
        UsageError: an argument outside its range.
    """

    def __init__(
        self,
        engine: Engine,
        threshold: float | None = None,
        value_range: tuple[float, float] | None = None,
        min_area: int = 1,
        max_targets: int | None = None,
        build_on_demand: bool = True,
        region: Region | None = None,
    ):
        if min_area < 1:
            raise UsageError(f"min_area {min_area} must be at least 1 pixel")
        if max_targets is not None and max_targets < 1:
            raise UsageError(f"max_targets {max_targets} must be at least 1")
        self.engine = engine
        self.threshold = engine.manifest.threshold if threshold is None else threshold
        self.value_range = None if value_range is None else check_value_range(value_range)
        self.min_area = min_area
        self.max_targets = max_targets
        self.region = region
        self.build_on_demand = build_on_demand
        calibration = engine.manifest.calibration
        self.score = sigmoid if calibration is None else calibration.score
        self._prepared_sizes: set[tuple[int, int]] = set()
        self._tensor = np.empty((1, engine.manifest.input_channels, 0, 0), np.float32)
        self._reflection: tuple[np.ndarray, np.ndarray] = (np.empty(0, np.intp), np.empty(0, np.intp))
        self._frame_size = (0, 0)

    @property
    def threshold(self) -> float:
        """Probability in (0, 1); may be set between two frames, from any thread."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        if not 0.0 < value < 1.0:
            raise UsageError(f"threshold {value} must lie between 0 and 1, both excluded")
        self._threshold = float(value)

    @property
    def outline(self) -> float:
        """Probability above which a pixel belongs to a target that exceeds the threshold."""
        outline = self.engine.manifest.outline
        return min(outline or self._threshold, self._threshold)

    def detect(self, frame: np.ndarray) -> Detection:
        """Detect targets in one frame.

        Args:
            frame: (H, W) uint8, uint16 or float32 without NaN, as ``frame.codec`` decodes it.

        Raises:
            UsageError: an array of another shape or type.
            EngineError: the engine failed, or there is no memory for a frame of this size.
            NotFiniteError: a logit is NaN or infinite.
            FrameError: reason ``size_not_prepared``, see ``build_on_demand``.
        """
        start = time.monotonic_ns()
        try:
            tensor = self._prepare(frame)
            prepared = time.monotonic_ns()
            logits = self._infer(tensor, frame.shape)
            inferred = time.monotonic_ns()
            mask, components = self._components(logits)
            targets = extract_targets(logits, components, self.max_targets, self.score)
        except MemoryError:
            raise self._no_memory(frame) from None
        ended = time.monotonic_ns()
        return Detection(mask, targets, components, logits, start, prepared, inferred, ended)

    def logits(self, frame: np.ndarray) -> np.ndarray:
        """The engine's answer to one frame before any threshold.

        Args:
            frame: see ``detect``.

        Returns:
            (H, W) float32, valid until the next call: probability = 1 / (1 + exp(-logit)).

        Raises:
            UsageError, EngineError, NotFiniteError, FrameError: see ``detect``.
        """
        try:
            return self._infer(self._prepare(frame), frame.shape)
        except MemoryError:
            raise self._no_memory(frame) from None

    def warm_up(self, height: int, width: int, runs: int = 3) -> None:
        """Prepare the engine for a frame size and run it, so that the first real frame meets all ready.

        An engine that ``builds`` may take minutes.
        """
        self._prepared_sizes.add(padded_size(height, width, self.engine.manifest.size_multiple))
        blank = np.zeros((height, width), np.uint8)
        for _ in range(runs):
            self.detect(blank)

    def _prepare(self, frame: np.ndarray) -> np.ndarray:
        if frame.ndim != 2 or frame.dtype not in (np.uint8, np.uint16, np.float32) or not frame.size:
            raise UsageError(
                f"a frame of shape {frame.shape} and type {frame.dtype} is not a grey image "
                "of uint8, uint16 or float32"
            )
        if self.region is not None:
            frame = self.region.before(frame)
        height, width = frame.shape
        if frame.shape != self._frame_size:
            self._require_prepared(height, width)
            self._allocate(height, width)
        manifest = self.engine.manifest
        span = unit_range(frame, self.value_range)
        for plane, mean, std in zip(self._tensor[0], manifest.normalisation.mean, manifest.normalisation.std):
            scale_into(frame, span, mean, std, plane[:height, :width])
        rows, columns = self._reflection
        if columns.size:
            self._tensor[..., :height, width:] = self._tensor[..., :height, columns]
        if rows.size:
            self._tensor[..., height:, :] = self._tensor[..., rows, :]
        return self._tensor

    def _require_prepared(self, height: int, width: int) -> None:
        if self.build_on_demand or not self.engine.builds:
            return
        if padded_size(height, width, self.engine.manifest.size_multiple) not in self._prepared_sizes:
            prepared = ", ".join(f"{w}x{h}" for h, w in sorted(self._prepared_sizes)) or "no size"
            raise FrameError(
                "size_not_prepared",
                f"the engine on {self.engine.platform} is built for frames of up to {prepared}, not for "
                f"{width}x{height}; name that size in frame_size, or set build_on_demand",
            )

    def _allocate(self, height: int, width: int) -> None:
        padded = padded_size(height, width, self.engine.manifest.size_multiple)
        self._tensor = np.empty((1, self.engine.manifest.input_channels, *padded), np.float32)
        # np.pad reflects as often as it takes where the frame is smaller than the padding.
        rows, columns = (
            np.pad(np.arange(size), (0, full - size), mode="reflect")[size:]
            for size, full in zip((height, width), padded)
        )
        self._reflection = rows, columns
        self._frame_size = (height, width)

    def _infer(self, tensor: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        height, width = size
        logits = self.engine.infer(tensor)[:height, :width]
        # Both carry a NaN on, and nothing else is above or below all finite numbers.
        if not (math.isfinite(logits.min()) and math.isfinite(logits.max())):
            bad = logits.size - np.count_nonzero(np.isfinite(logits))
            raise NotFiniteError(
                f"engine {self.engine.manifest.name}: {bad} of {logits.size} logits of a {width}x{height} "
                f"frame are NaN or infinite ({self.engine.description}); try fp32 or another backend"
            )
        return logits if self.region is None else self.region.after(logits)

    def _no_memory(self, frame: np.ndarray) -> EngineError:
        self._frame_size = (0, 0)  # buffers may be half allocated
        height, width = frame.shape
        return EngineError(
            f"engine {self.engine.manifest.name}: out of memory on a frame of {width}x{height}"
        )

    def _components(self, logits: np.ndarray) -> tuple[np.ndarray, Components]:
        components = find_targets(logits, self._threshold, self.outline)
        if self.min_area > 1:
            components = components.select(components.areas >= self.min_area)
        mask = np.zeros(logits.shape, np.uint8)
        mask[components.rows, components.columns] = 255
        return mask, components
