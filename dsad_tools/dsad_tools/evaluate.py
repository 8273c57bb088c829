"""Score a detector on labelled frames, offline: the same counting as in the metrics node."""

import datetime
import itertools

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dsad_core.components import as_components
from dsad_core.detector import Detection, Detector
from dsad_core.errors import DataError, UsageError
from dsad_core.frame.timing import DETECTOR_STAGES, TOTAL
from dsad_core.machine import machine_facts
from dsad_core.metrics.accumulator import DetectionAccumulator
from dsad_core.metrics.counts import Matching
from dsad_core.metrics.froc import FrocAccumulator, find_peaks
from dsad_core.metrics.latency import LatencyStats
from dsad_tools.data.sample import Sample, SampleSource, split_hash_of
from dsad_tools.metrics.frame_picture import FramePicture
from dsad_tools.metrics.live import HISTORY
from dsad_tools.metrics.pictures import PictureSampler
from dsad_tools.metrics.record import FrameRecord, RunFacts, RunRecord


def evaluate(
    detector: Detector,
    source: SampleSource,
    matching: Matching | None = None,
    progress: bool = True,
    limit: int | None = None,
    pictures: int = 0,
) -> RunRecord:
    """Run a detector over every frame of a source and score the labelled ones.

    Args:
        detector: with its engine loaded; left open.
        source: frames with masks or boxes. Unlabelled frames are run and counted apart.
        matching: how predictions meet truth; None takes ``nearest``, or ``box`` where the first labelled
            frame has boxes only.
        progress: draw a progress bar on the terminal.
        limit: frames to take; None for all.
        pictures: frames to keep for the report.

    Returns:
        The run: metrics, counts and latency of the whole, and a record of each frame (the newest
        `HISTORY` of them). Its frame rate is that of the detector alone, reading and scoring left out.

    Raises:
        DataError: a frame's truth cannot be scored, with the frame named, or the source has no frame.
        UsageError: the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit} takes no frame; give 1 or more")
    run = _Run(matching, PictureSampler(pictures))
    warm: set[tuple[int, ...]] = set()
    started = datetime.datetime.now(datetime.timezone.utc)
    samples = itertools.islice(source, limit)
    total = min(len(source), limit or len(source))
    for sample in _with_progress(samples, total, source.name) if progress else samples:
        if sample.image.shape not in warm:
            # The first run of a frame size pays for buffers and threads; that is no latency of the engine.
            detector.warm_up(*sample.image.shape)
            warm.add(sample.image.shape)
        detection = detector.detect(sample.image)
        try:
            run.add(sample, detection)
        except UsageError as error:
            raise DataError(f"{source.name}, frame {sample.name}: {error}") from error
    if not run.frames:
        raise DataError(f"{source.name} holds no frame to evaluate")
    return run.record(detector, source, started)


class _Run:
    """State of an evaluation between frames."""

    def __init__(self, matching: Matching | None, sampler: PictureSampler):
        self.matching = matching
        self.accumulator: DetectionAccumulator | None = DetectionAccumulator(matching) if matching else None
        self.latency = {stage: LatencyStats() for stage in (*DETECTOR_STAGES, TOTAL)}
        self.frames: list[FrameRecord] = []
        self.count = 0
        self.unlabelled = 0
        self.busy_ns = 0
        self.sampler = sampler
        self.froc = FrocAccumulator()

    def add(self, sample: Sample, detection: Detection) -> None:
        counts = None
        if sample.labelled:
            if self.accumulator is None:
                self.accumulator = DetectionAccumulator("nearest" if sample.mask is not None else "box")
            # A sample may know both; the matching says which of them is scored.
            boxes = self.accumulator.matching == "box"
            peaks = find_peaks(detection.logits)
            if boxes:
                counts = self.accumulator.update(detection.components, boxes=sample.boxes)
                self.froc.update(peaks, boxes=sample.boxes)
            else:
                truth = None if sample.mask is None else as_components("truth", sample.mask)
                counts = self.accumulator.update(detection.components, truth)
                centroids = None if truth is None else truth.centroids
                self.froc.update(peaks, centroids=centroids, mask=sample.mask)
        stages = detection.durations()
        for stage, duration in stages.items():
            self.latency[stage].add(duration)
        total = sum(stages.values())
        self.latency[TOTAL].add(total)
        self.busy_ns += total
        self.frames.append(FrameRecord(sample.name, self.count, True, counts, stages))
        del self.frames[:-HISTORY]
        self.count += 1
        self.unlabelled += counts is None
        self.sampler.offer(
            counts,
            lambda: FramePicture(sample.name, sample.image, detection.mask, sample.mask, sample.boxes),
        )

    def record(self, detector: Detector, source: SampleSource, started) -> RunRecord:
        engine = detector.engine
        accumulator = self.accumulator or DetectionAccumulator()
        facts = RunFacts(
            engine=engine.manifest.name,
            engine_sha256=engine.manifest.sha256,
            platform=engine.platform,
            runtime=engine.description,
            threshold=detector.threshold,
            outline=detector.outline,
            precision=getattr(engine, "precision", ""),
            matching=accumulator.matching,
            source=source.name,
            split=getattr(source, "split", ""),
            split_hash=split_hash_of(source, self.count),
            started=started.isoformat(timespec="seconds"),
            machine=machine_facts(),
        )
        return RunRecord(
            title=f"{engine.manifest.name} on {source.name}",
            facts=facts,
            result=accumulator.result(),
            counters={"frames": self.count, "frames_unlabelled": self.unlabelled},
            frame_rate=self.count * 1e9 / self.busy_ns,
            latency={
                stage: result
                for stage, stats in self.latency.items()
                if (result := stats.result()) is not None
            },
            latencies_ms=self.latency[TOTAL].durations_ms(),
            frames=self.frames,
            pictures=self.sampler.result(),
            film=self.sampler.film.result(),
            notes=list(source.notes),
            froc=self.froc.result() if self.froc.frames else None,
        )


def _with_progress(samples, total: int, name: str):
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        yield from bar.track(samples, total=total)
