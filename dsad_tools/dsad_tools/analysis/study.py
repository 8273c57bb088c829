"""One pass over labelled frames with several engines: all that the figures and tables are made from."""

import heapq
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dsad_core.components import as_components
from dsad_core.detector import Detector
from dsad_core.engines.protocol import Engine
from dsad_core.errors import DataError, DsadError, UsageError
from dsad_core.hysteresis import find_targets
from dsad_core.metrics.counts import FrameCounts, Matching
from dsad_core.metrics.froc import FrocAccumulator, find_peaks
from dsad_tools.analysis.logits import probability
from dsad_tools.analysis.marks import find_offsets
from dsad_tools.analysis.sweep import SweepPoint, ThresholdSweep, default_thresholds
from dsad_tools.data.sample import Sample, SampleSource, split_hash_of

COLUMNS = 6
"""Frames side by side in the grid, unless they are named."""

SHEET = 12
"""Failures in a contact sheet."""


@dataclass(frozen=True, slots=True)
class View:
    """A frame to be drawn: image (H, W), truth (H, W), and each engine's probability and mask (H, W)."""

    name: str
    image: np.ndarray
    truth: np.ndarray
    probability: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class FrameScore:
    """Counts of one frame at the engine's own threshold."""

    name: str
    number: int
    counts: FrameCounts

    @property
    def badness(self) -> tuple[int, int, float]:
        """Larger is worse: missed targets, then false pixels, then what IoU lacks."""
        iou = 1.0 if self.counts.iou is None else self.counts.iou
        return self.counts.missed_targets, self.counts.false_pixels, 1.0 - iou


@dataclass
class EngineStudy:
    """What one engine did.

    Attributes:
        label: its name in figures, unique within the study.
        points: one for each threshold, lowest first.
        ranking: every scored frame, worst first.
        offsets: predicted minus labelled centroid of each hit at its own threshold, (hits, 2) x, y px.
        worst: pictures of the first of them that have a missed target or a false pixel.
        froc: peaks of its logits, found and false, at every score.
    """

    label: str
    engine: Engine
    threshold: float
    points: list[SweepPoint] = field(default_factory=list)
    ranking: list[FrameScore] = field(default_factory=list)
    offsets: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    worst: list[View] = field(default_factory=list)
    froc: FrocAccumulator = field(default_factory=FrocAccumulator)

    @property
    def own(self) -> SweepPoint:
        """The point at the engine's own threshold."""
        return next(point for point in self.points if point.threshold == self.threshold)

    @property
    def best(self) -> SweepPoint:
        """The point of highest IoU, the one nearest to the engine's threshold among equals."""
        return max(
            self.points, key=lambda point: (point.result.iou or 0.0, -abs(point.threshold - self.threshold))
        )

    @property
    def offset(self) -> tuple[float, float] | None:
        """Mean of the offsets, x and y; None without a hit."""
        return tuple(self.offsets.mean(axis=0).tolist()) if len(self.offsets) else None


@dataclass
class Study:
    """A finished pass.

    Attributes:
        frames, unlabelled: frames scored, and frames without a mask that were passed over.
        views: the frames of the grid, in the order asked for.
    """

    source: str
    split: str
    split_hash: str
    matching: Matching
    frames: int
    unlabelled: int
    engines: list[EngineStudy]
    views: list[View]
    notes: list[str]

    @property
    def caption(self) -> str:
        """What every figure and table says of where its numbers come from."""
        split = " ".join(filter(None, [self.source, self.split, self.split_hash and f"({self.split_hash})"]))
        return f"{split}, {self.frames} frames, matching {self.matching}"


def analyse(
    engines: dict[str, Engine],
    source: SampleSource,
    matching: Matching = "nearest",
    threshold: float | None = None,
    limit: int | None = None,
    images: Sequence[str] = (),
    images_only: bool = False,
    progress: bool = True,
) -> Study:
    """Run engines over the masked frames of a source, each frame decoded once and inferred once an engine.

    Args:
        engines: by the label they have in figures; left open.
        source: frames with masks. Frames without one are passed over and counted.
        matching: ``nearest`` or ``dnanet``.
        threshold: probability in (0, 1) taken as every engine's own; None for each manifest's.
        limit: frames to take; None for all.
        images: names of the frames to draw; by default `COLUMNS` spread evenly over the frames taken,
            which favours nobody.
        images_only: run on these alone.
        progress: draw a progress bar on the terminal.

    Raises:
        DataError: no frame has a mask, or a frame or its mask cannot be used.
        UsageError: a limit or threshold out of range, or an image that is not among the frames.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit} takes no frame; give 1 or more")
    total = min(len(source), limit or len(source))
    ids = getattr(source, "ids", None)
    if ids is not None:
        # A data set knows its names: say so now, not after the whole pass.
        _require_images(images, ids[:total], source)
    scorers = [_Scorer(label, engine, threshold, matching) for label, engine in engines.items()]
    evenly = {(2 * column + 1) * total // (2 * COLUMNS) for column in range(COLUMNS)}
    views: dict[str, View] = {}
    scored = unlabelled = 0
    samples: Iterable[Sample] = itertools.islice(source, limit)
    for number, sample in enumerate(_with_progress(samples, total, source.name) if progress else samples):
        if images_only and sample.name not in images:
            continue
        if sample.mask is None:
            unlabelled += 1
            continue
        scored += 1
        try:
            maps = {scorer.study.label: scorer.score(sample, number) for scorer in scorers}
        except DsadError as error:
            raise DataError(f"{source.name}, frame {sample.name}: {error}") from error
        if sample.name in images or (not images and number in evenly):
            views[sample.name] = View(
                sample.name,
                sample.image,
                sample.mask,
                {label: probability(logits) for label, (logits, _) in maps.items()},
                {label: mask for label, (_, mask) in maps.items()},
            )
    if not scored:
        raise DataError(
            f"{source.name}: none of {unlabelled} frames has a truth mask; thresholds and "
            "failures need masks (`dsad evaluate` scores boxes)"
        )
    _require_images(images, views, source)
    return Study(
        source=source.name,
        split=getattr(source, "split", ""),
        split_hash=split_hash_of(source, scored + unlabelled),
        matching=matching,
        frames=scored,
        unlabelled=unlabelled,
        engines=[scorer.finish() for scorer in scorers],
        views=[views[name] for name in images or views],
        notes=list(source.notes),
    )


class _Scorer:
    """One engine during the pass: a sweep, every frame's own counts, the worst frames' pictures."""

    def __init__(self, label: str, engine: Engine, threshold: float | None, matching: Matching):
        own = engine.manifest.threshold if threshold is None else threshold
        self.study = EngineStudy(label, engine, own)
        self._detector = Detector(engine)
        self._sweep = ThresholdSweep([*default_thresholds(), own], matching, engine.manifest.outline)
        self._matching = matching
        self._offsets: list[np.ndarray] = []
        self._worst: list[tuple[tuple[int, int, float], int, View]] = []

    def score(self, sample: Sample, number: int) -> tuple[np.ndarray, np.ndarray]:
        # A copy: another engine study may share the engine, and its next answer takes this one's place.
        logits = self._detector.logits(sample.image).copy()
        truth = as_components("truth", sample.truth)
        score = FrameScore(sample.name, number, self._sweep.update(logits, truth)[self.study.threshold])
        self.study.ranking.append(score)
        self.study.froc.update(find_peaks(logits), centroids=truth.centroids, mask=sample.truth)
        mask = find_targets(logits, self.study.threshold, self.study.engine.manifest.outline).to_mask()
        self._offsets.append(find_offsets(mask, truth, self._matching))
        badness = score.badness
        # Earlier frames win among equals, hence the negative number.
        if badness[:2] != (0, 0) and (len(self._worst) < SHEET or (badness, -number) > self._worst[0][:2]):
            label = self.study.label
            view = View(sample.name, sample.image, sample.truth, {label: probability(logits)}, {label: mask})
            push = heapq.heappush if len(self._worst) < SHEET else heapq.heapreplace
            push(self._worst, (badness, -number, view))
        return logits, mask

    def finish(self) -> EngineStudy:
        self.study.points = self._sweep.points()
        self.study.offsets = np.concatenate(self._offsets)
        self.study.ranking.sort(key=lambda score: (score.badness, -score.number), reverse=True)
        worst = sorted(self._worst, key=lambda entry: entry[:2], reverse=True)
        self.study.worst = [view for *_, view in worst]
        return self.study


def _require_images(wanted: Sequence[str], known: Iterable[str], source: SampleSource) -> None:
    known = set(known)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise UsageError(
            f"image {', '.join(missing)} is not among the masked frames taken from "
            f"{source.name}; check the name, --split and --limit"
        )


def _with_progress(samples: Iterable[Sample], total: int, name: str) -> Iterable[Sample]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True) as bar:
        yield from bar.track(samples, total=total, description=name)
