"""Contenders take turns, frame by frame, so that other load on the machine hits all of them alike."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from dsad_core.engines.manifest import Manifest
from dsad_core.engines.protocol import Engine
from dsad_core.errors import DsadError
from dsad_core.frame.geometry import padded_size
from dsad_core.frame.normalise import to_unit
from dsad_tools.bench.cold import ColdStart, cold_start
from dsad_tools.bench.contender import Contender
from dsad_tools.bench.subject import Subject
from dsad_tools.scenes.generator import SceneGenerator

#: Generated scenes that the turns go through, and that masks are compared on.
FRAMES = 4
#: A turn's time is that of the first call that begins this late in it: until then the threads of the contender
#: before may spin on, as onnxruntime's do by default, and this one's memory comes into the caches.
SETTLE_NS = 100_000_000
#: Many bright targets: masks that are compared must not be empty.
SCENE = {"targets": (6, 12), "snr": (15.0, 40.0)}


@dataclass(frozen=True)
class Agreement:
    """An engine's answers beside the baseline's, on the same frames.

    Attributes:
        pixels: of all frames.
        mask_pixels: of the baseline's masks.
        differing: mask pixels that differ.
        largest_logit_difference: over all pixels.
    """

    pixels: int
    mask_pixels: int
    differing: int
    largest_logit_difference: float


@dataclass
class Entrant:
    """One contender with one network.

    Attributes:
        engine: None before it is opened, after it is closed, and where that failed.
        failure: why it does not run; '' if it does.
        runtime: the engine's own description.
        cold_failure: why it does not run in a process of its own; '' if it does, or was not asked to.
        sha256: of the model that it was opened from.
        durations: ns of its turns, one each, in order.
    """

    subject: Subject
    contender: Contender
    manifest: Manifest
    engine: Engine | None = None
    failure: str = ""
    runtime: str = ""
    sha256: str = ""
    durations: list[int] = field(default_factory=list)
    agreement: Agreement | None = None
    cold: ColdStart | None = None
    cold_failure: str = ""

    @property
    def runs(self) -> bool:
        return not self.failure and bool(self.durations)


@dataclass
class Block:
    """Everything that took turns: networks of one family, one frame size, one number of threads.

    Attributes:
        size: (height, width) of the frames, before padding.
        entrants: network by network, each with every contender in the same order.
    """

    target: str
    size: tuple[int, int]
    threads: int
    entrants: list[Entrant]

    def of(self, subject: Subject) -> list[Entrant]:
        """What ran this network."""
        return [entrant for entrant in self.entrants if entrant.subject == subject]

    @property
    def subjects(self) -> list[Subject]:
        return list(dict.fromkeys(entrant.subject for entrant in self.entrants))

    def baseline(self, subject: Subject) -> Entrant | None:
        """The first contender that ran this network."""
        return next((entrant for entrant in self.of(subject) if entrant.runs), None)

    def measure(self, runs: int, advance: Callable[[str], None]) -> None:
        """Open everything, take ``runs`` turns, and close it again, also when interrupted.

        Args:
            advance: called with what comes next, ``len(entrants) + runs`` times.
        """
        try:
            for entrant in self.entrants:
                advance(f"opening {entrant.contender.name} for {entrant.manifest.name}")
                self._open(entrant)
            frames = {}
            for subject in self.subjects:
                frames[subject] = list(scenes(subject.manifest, *self.size))
                _compare(self.of(subject), frames[subject])
            for turn in range(runs):
                advance(f"turn {turn + 1} of {runs}")
                # Another one begins at each turn, so that none always follows the same.
                start = turn % len(self.entrants)
                for entrant in self.entrants[start:] + self.entrants[:start]:
                    if entrant.engine is not None:
                        _take_turn(entrant, frames[entrant.subject][turn % FRAMES])
        finally:
            for entrant in self.entrants:
                _close(entrant)

    def measure_cold(self, advance: Callable[[str], None]) -> None:
        """Cold start and memory of all that run; ``advance`` is called once for each entrant."""
        for entrant in self.entrants:
            advance(f"starting {entrant.contender.name} for {entrant.manifest.name}")
            if not entrant.runs:
                continue
            try:
                entrant.cold = cold_start(
                    entrant.subject, entrant.contender, self.target, self.threads, self.size
                )
            except DsadError as error:
                entrant.cold_failure = str(error)

    def _open(self, entrant: Entrant) -> None:
        size = padded_size(*self.size, entrant.manifest.size_multiple)
        try:
            entrant.engine = entrant.contender.open(entrant.subject, self.target, self.threads, size)
            entrant.runtime = entrant.engine.description
            entrant.sha256 = entrant.engine.manifest.sha256
        except DsadError as error:
            entrant.failure = str(error)


def scenes(manifest: Manifest, height: int, width: int) -> Iterator[np.ndarray]:
    """Generated frames as the engine takes them: (1, C, H, W) float32, normalised and padded."""
    full = padded_size(height, width, manifest.size_multiple)
    mean, std = (
        np.array(values, np.float32)[:, None, None]
        for values in (manifest.normalisation.mean, manifest.normalisation.std)
    )
    for sample in SceneGenerator(height, width, frames=FRAMES, **SCENE):
        image = np.pad(to_unit(sample.image), ((0, full[0] - height), (0, full[1] - width)), mode="reflect")
        yield np.ascontiguousarray(((image - mean) / std)[None])


def ratios(slower: list[int], faster: list[int]) -> float:
    """How many times faster, the median over the turns that both took."""
    return statistics.median(one / other for one, other in zip(slower, faster))


def _take_turn(entrant: Entrant, tensor: np.ndarray) -> None:
    try:
        begin = start = time.perf_counter_ns()
        settled = False
        while not settled:
            settled = start - begin >= SETTLE_NS
            entrant.engine.infer(tensor)
            end = time.perf_counter_ns()
            duration, start = end - start, end
        entrant.durations.append(duration)
    except DsadError as error:
        _give_up(entrant, error)


def _compare(entrants: list[Entrant], tensors: list[np.ndarray]) -> None:
    """Let every contender answer every frame, and compare with the first that does."""
    reference: list[np.ndarray] | None = None
    for entrant in entrants:
        if entrant.engine is None:
            continue
        try:
            answers = [entrant.engine.infer(tensor).copy() for tensor in tensors]
        except DsadError as error:
            _give_up(entrant, error)
            continue
        reference = answers if reference is None else reference
        entrant.agreement = _agreement(reference, answers, entrant.manifest.threshold)


def _agreement(reference: list[np.ndarray], answers: list[np.ndarray], threshold: float) -> Agreement:
    level = math.log(threshold / (1 - threshold))
    pairs = list(zip(reference, answers))
    return Agreement(
        pixels=sum(logits.size for logits in reference),
        mask_pixels=sum(int(np.count_nonzero(logits > level)) for logits in reference),
        differing=sum(int(np.count_nonzero((one > level) != (other > level))) for one, other in pairs),
        largest_logit_difference=max(float(np.abs(one - other).max()) for one, other in pairs),
    )


def _give_up(entrant: Entrant, error: DsadError) -> None:
    entrant.failure = str(error)
    _close(entrant)


def _close(entrant: Entrant) -> None:
    engine, entrant.engine = entrant.engine, None
    if engine is not None:
        with suppress(DsadError):
            engine.close()
