"""A release gate: an engine scored on many bags, one by one on several processes, with the counts of one."""

from __future__ import annotations

import functools
import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.errors import DataError, DsadError, NotInstalledError
from dsad_core.metrics.accumulator import DetectionAccumulator
from dsad_core.metrics.counts import Matching
from dsad_tools.data.open import BAG_EXTENSIONS, open_source

#: Times in a row that workers may end without one finished bag.
PATIENCE = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One bag for one engine; small, as it travels to other processes.

    Attributes:
        bag: path, the same on every machine that takes part.
        threads: of the engine, in each process.
    """

    bag: str
    engine: str
    platform: str = "cpu"
    threads: int = 1
    matching: Matching = "nearest"


@dataclass(frozen=True)
class Score:
    """What came of a bag: its counts, or why it has none."""

    bag: str
    counts: DetectionAccumulator | None
    refusal: str = ""


def find_bags(folder: Path) -> list[Path]:
    """Every bag below a folder, in the order of their names.

    Raises:
        DataError: there is none.
    """
    found = {path.parent for path in folder.rglob("metadata.yaml")}
    parts = {path for suffix in BAG_EXTENSIONS for path in folder.rglob(f"*{suffix}")}
    found |= {path for path in parts if path.parent not in found}
    if not found:
        raise DataError(
            f"{folder}: no bag in it; a bag is a folder with metadata.yaml, or one of {BAG_EXTENSIONS}"
        )
    return sorted(found)


def score(task: Task) -> Score:
    """Count one bag in this process; the engine stays open for the next one."""
    try:
        source = open_source(task.bag)
        detector = _detector(task.engine, task.platform, task.threads)
        counts = DetectionAccumulator(task.matching)
        for sample in source:
            if sample.labelled:
                mask = detector.detect(sample.image).mask
                counts.update(mask, **_truth(sample, task.matching))
        if not counts.frames:
            raise DataError(f"{task.bag}: holds no labelled frame")
        return Score(task.bag, counts)
    except DsadError as error:
        return Score(task.bag, None, str(error))


def on_processes(tasks: list[Task], workers: int) -> Iterator[Score]:
    """Scores as they come, from ``workers`` processes. What a worker that was killed had under way is done again.

    Raises:
        DsadError: workers end again and again.
    """
    left, futile = {task.bag: task for task in tasks}, 0
    while left:
        before = len(left)
        # Spawned: a fork would copy threads of runtimes in the middle of their work.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(workers, len(left)), context)
        try:
            futures = [pool.submit(score, task) for task in left.values()]
            for future in as_completed(futures):
                result = future.result()
                del left[result.bag]
                yield result
        except BrokenProcessPool:
            futile = futile + 1 if len(left) == before else 0
            if futile == PATIENCE:
                raise DsadError(
                    f"workers were killed {PATIENCE} times before one finished a bag; is the memory enough for "
                    f"{workers} workers? The next bag is {next(iter(left))}"
                ) from None
            _log.warning("a worker was killed: %d bags are begun again", len(left))
        finally:
            pool.shutdown(cancel_futures=True)


def on_scheduler(tasks: list[Task], address: str) -> Iterator[Score]:
    """Scores as they come, from the workers of a Dask scheduler, which need this package and the same paths.

    Raises:
        NotInstalledError: Dask is not installed.
        DsadError: no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise NotInstalledError("--scheduler needs Dask: pip install distributed") from error
    try:
        client = distributed.Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise DsadError(f"--scheduler {address}: no Dask scheduler answers ({error})") from error
    with client:
        # Dask gives what a lost worker had to another one by itself.
        futures = client.map(score, tasks, pure=False, retries=PATIENCE)
        for future in distributed.as_completed(futures):
            yield future.result()


def total(scores: list[Score], matching: Matching = "nearest") -> DetectionAccumulator:
    """All counts together; in the order of the bags' names, so that sums of fractions agree to the last bit."""
    everything = DetectionAccumulator(matching)
    for each in sorted(scores, key=lambda each: each.bag):
        if each.counts is not None:
            everything.merge(each.counts)
    return everything


def _truth(sample, matching: Matching) -> dict:
    return {"boxes": sample.boxes} if matching == "box" else {"truth": sample.truth}


@functools.lru_cache(maxsize=1)
def _detector(engine: str, platform: str, threads: int) -> Detector:
    return Detector(load_engine(engine, platform, threads))
