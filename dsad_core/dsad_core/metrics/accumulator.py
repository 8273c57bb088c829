"""Pd, Fa, IoU and nIoU of a set of frames, from counters that merge."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from dsad_core.components import Components
from dsad_core.errors import UsageError
from dsad_core.metrics.counts import MATCHINGS, FrameCounts, Matching, count_boxes, count_masks


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """Metrics of a set of frames and the counts behind them. A ratio without a denominator is None.

    Attributes:
        pd: hits / targets, over the whole set.
        fa: pixels of the unmatched predicted components / all pixels (papers print it in 1e-5).
        iou: sum of intersections / sum of unions.
        niou: mean of the frames' own IoU. A frame with neither a predicted nor a true pixel has no IoU and
            is left out; ``niou_frames`` says how many are in.
    """

    matching: str
    frames: int
    targets: int
    hits: int
    predictions: int
    false_targets: int
    false_pixels: int
    pixels: int
    intersection: int
    union: int
    niou_frames: int
    pd: float | None
    fa: float | None
    iou: float | None
    niou: float | None

    def to_dict(self) -> dict:
        return asdict(self)


class DetectionAccumulator:
    """Counts frames and gives the metrics of all of them.

    Two accumulators of the same matching merge, in any grouping, to the counts of one that saw every frame.

    Args:
        matching: ``nearest`` or ``dnanet`` for truth masks, ``box`` for labelled boxes.

    Raises:
        UsageError: the matching is unknown.

    Example:
        >>> truth = np.zeros((8, 8), np.uint8)
        >>> truth[2:4, 2:4] = 255
        >>> accumulator = DetectionAccumulator("nearest")
        >>> accumulator.update(truth, truth).hits
        1
        >>> accumulator.result().pd
        1.0
    """

    def __init__(self, matching: Matching = "nearest"):
        if matching not in MATCHINGS:
            raise UsageError(f"matching {matching!r} is unknown; choose one of {', '.join(MATCHINGS)}")
        self.matching = matching
        self.frames = 0
        self._sum = FrameCounts(0, 0, 0, 0, 0, 0, 0, 0, has_masks=matching != "box")
        self._iou_sum = 0.0
        self._iou_frames = 0

    def update(
        self,
        predicted: np.ndarray | Components,
        truth: np.ndarray | Components | None = None,
        boxes: np.ndarray | None = None,
    ) -> FrameCounts:
        """Count one frame and return its own counts.

        Args:
            predicted: (H, W) uint8 or bool, non-zero where a target is predicted, or its components.
            truth: the same for the labelled targets, for ``nearest`` and ``dnanet``.
            boxes: (N, 4) x, y, w, h in pixels, for ``box``.

        Raises:
            UsageError: the truth is not of the kind that the matching scores, or is malformed. Nothing is
                counted then.
        """
        counts = self.count(predicted, truth, boxes)
        self.add(counts)
        return counts

    def count(
        self,
        predicted: np.ndarray | Components,
        truth: np.ndarray | Components | None = None,
        boxes: np.ndarray | None = None,
    ) -> FrameCounts:
        """As `update`, without adding the frame."""
        if self.matching == "box":
            if boxes is None or truth is not None:
                raise UsageError(
                    "matching 'box' scores labelled boxes; for truth masks choose nearest or dnanet"
                )
            return count_boxes(predicted, boxes)
        if truth is None or boxes is not None:
            raise UsageError(f"matching {self.matching!r} scores truth masks; for labelled boxes choose box")
        return count_masks(predicted, truth, self.matching)

    def add(self, counts: FrameCounts) -> None:
        """Add the counts of one frame.

        Raises:
            UsageError: counts from boxes meet an accumulator of masks, or the other way round.
        """
        if counts.has_masks != self._sum.has_masks:
            raise UsageError(
                f"counts with has_masks={counts.has_masks} do not belong to matching {self.matching!r}"
            )
        self.frames += 1
        self._add_sums(counts)
        if counts.iou is not None:
            self._iou_sum += counts.iou
            self._iou_frames += 1

    def merge(self, other: "DetectionAccumulator") -> None:
        """Add all that another accumulator has counted.

        Raises:
            UsageError: the matchings differ.
        """
        if other.matching != self.matching:
            raise UsageError(f"counts matched by {other.matching!r} cannot be added to {self.matching!r}")
        self.frames += other.frames
        self._add_sums(other._sum)
        self._iou_sum += other._iou_sum
        self._iou_frames += other._iou_frames

    def result(self) -> DetectionResult:
        """Metrics of every frame so far."""
        total = self._sum
        return DetectionResult(
            matching=self.matching,
            frames=self.frames,
            targets=total.targets,
            hits=total.hits,
            predictions=total.predictions,
            false_targets=total.false_targets,
            false_pixels=total.false_pixels,
            pixels=total.pixels,
            intersection=total.intersection,
            union=total.union,
            niou_frames=self._iou_frames,
            pd=_ratio(total.hits, total.targets),
            fa=_ratio(total.false_pixels, total.pixels),
            iou=_ratio(total.intersection, total.union),
            niou=_ratio(self._iou_sum, self._iou_frames),
        )

    def _add_sums(self, counts: FrameCounts) -> None:
        mine = self._sum
        self._sum = replace(
            mine,
            targets=mine.targets + counts.targets,
            hits=mine.hits + counts.hits,
            predictions=mine.predictions + counts.predictions,
            false_targets=mine.false_targets + counts.false_targets,
            false_pixels=mine.false_pixels + counts.false_pixels,
            intersection=mine.intersection + counts.intersection,
            union=mine.union + counts.union,
            pixels=mine.pixels + counts.pixels,
        )


def _ratio(numerator: float, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
