"""Runtimes take turns, frame by frame, so that other load on the machine hits all of them alike."""

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsad_core.engines.manifest import Manifest
from dsad_core.errors import DsadError
from dsad_core.frame.geometry import padded_size
from dsad_core.frame.normalise import to_unit
from dsad_core.hysteresis import logit
from dsad_tools.bench.apart import Apart
from dsad_tools.bench.bound import bound_ms, multiplications
from dsad_tools.bench.cold import ColdStart, cold_start
from dsad_tools.bench.models import Model
from dsad_tools.bench.runtimes import Runtime
from dsad_tools.bench.turn import Contender, take_turn
from dsad_tools.scenes.generator import SceneGenerator

#: Generated scenes that the turns go through, and that masks are compared on.
FRAMES = 4
#: A turn's time is that of the first call that begins this late in it: onnxruntime's threads spin by default.
SETTLE_NS = 100_000_000
#: Many bright targets: masks that are compared must not be empty.
SCENE: dict[str, Any] = {"targets": (6, 12), "snr": (15.0, 40.0)}


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
class Case:
    """One runtime with one network.

    Attributes:
        engine: None before it is opened, after it is closed, and where that failed.
        failure: why it does not run; '' if it does.
        description: the engine's own.
        cold_failure: why it does not run in a process of its own; '' if it does, or was not asked to.
        sha256: of the model that it was opened from.
        durations: ns of its turns, one each, in order.
    """

    model: Model
    runtime: Runtime
    manifest: Manifest
    engine: Contender | None = None
    failure: str = ""
    description: str = ""
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
        peak_gflops: that the CPU reaches on so many threads; None where that is not known, or not what counts.
        bounds: ms that each network's multiplications take at that peak, see ``bound``; known once measured.
        cases: network by network, each with every runtime in the same order.
    """

    platform: str
    size: tuple[int, int]
    threads: int
    cases: list[Case]
    peak_gflops: float | None = None
    bounds: dict[Model, float | None] = field(default_factory=dict)

    def of(self, model: Model) -> list[Case]:
        """What ran this network."""
        return [case for case in self.cases if case.model == model]

    @property
    def models(self) -> list[Model]:
        return list(dict.fromkeys(case.model for case in self.cases))

    def baseline(self, model: Model) -> Case | None:
        """The first runtime that ran this network."""
        return next((case for case in self.of(model) if case.runs), None)

    def measure(self, runs: int, advance: Callable[[str], None]) -> None:
        """Open everything, take ``runs`` turns, and close it again, also when interrupted.

        Args:
            advance: called with what comes next, ``len(cases) + runs`` times.
        """
        if self.peak_gflops:
            for model in self.models:
                self.bounds[model] = bound_ms(multiplications(model, self.size), self.peak_gflops)
        try:
            for case in self.cases:
                advance(f"opening {case.runtime.name} for {case.manifest.name}")
                self._open(case)
            frames = {}
            for model in self.models:
                frames[model] = list(scenes(model.manifest, *self.size))
                _compare(self.of(model), frames[model])
            for turn in range(runs):
                advance(f"turn {turn + 1} of {runs}")
                # Another one begins at each turn, so that none always follows the same.
                start = turn % len(self.cases)
                for case in self.cases[start:] + self.cases[:start]:
                    if case.engine is not None:
                        _take_turn(case, frames[case.model][turn % FRAMES])
        finally:
            for case in self.cases:
                _close(case)

    def measure_cold(self, advance: Callable[[str], None]) -> None:
        """Cold start and memory of all that run; ``advance`` is called once for each case."""
        for case in self.cases:
            advance(f"starting {case.runtime.name} for {case.manifest.name}")
            if not case.runs:
                continue
            try:
                case.cold = cold_start(case.model, case.runtime, self.platform, self.threads, self.size)
            except DsadError as error:
                case.cold_failure = str(error)

    def _open(self, case: Case) -> None:
        size = padded_size(*self.size, case.manifest.size_multiple)
        try:
            case.engine = case.runtime.start(case.model, self.platform, self.threads, size)
            case.description = case.engine.description
            case.sha256 = case.engine.manifest.sha256
        except DsadError as error:
            case.failure = str(error)


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
    return statistics.median(_turn_by_turn(slower, faster))


def ratio_quartiles(slower: list[int], faster: list[int]) -> tuple[float, float]:
    """The first and the third quartile of what `ratios` is the median of."""
    return quartiles(_turn_by_turn(slower, faster))


def quartiles(values: list[float]) -> tuple[float, float]:
    """The first and the third by nearest rank, as ``percentiles`` has them: both are among the values."""
    ordered = sorted(values)
    first, third = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.25, 0.75))
    return first, third


def _turn_by_turn(slower: list[int], faster: list[int]) -> list[float]:
    return [one / other for one, other in zip(slower, faster)]


def _take_turn(case: Case, tensor: np.ndarray) -> None:
    engine = case.engine
    if engine is None:
        return
    try:
        case.durations.append(
            engine.take_turn(tensor, SETTLE_NS)
            if isinstance(engine, Apart)
            else take_turn(engine, tensor, SETTLE_NS)
        )
    except DsadError as error:
        _give_up(case, error)


def _compare(cases: list[Case], tensors: list[np.ndarray]) -> None:
    """Let every runtime answer every frame, and compare with the first that does."""
    reference: list[np.ndarray] | None = None
    for case in cases:
        if case.engine is None:
            continue
        try:
            answers = [case.engine.infer(tensor).copy() for tensor in tensors]
        except DsadError as error:
            _give_up(case, error)
            continue
        reference = answers if reference is None else reference
        case.agreement = _agreement(reference, answers, case.manifest.mask_level)


def _agreement(reference: list[np.ndarray], answers: list[np.ndarray], probability: float) -> Agreement:
    level = logit(probability)
    pairs = list(zip(reference, answers))
    return Agreement(
        pixels=sum(logits.size for logits in reference),
        mask_pixels=sum(int(np.count_nonzero(logits > level)) for logits in reference),
        differing=sum(int(np.count_nonzero((one > level) != (other > level))) for one, other in pairs),
        largest_logit_difference=max(float(np.abs(one - other).max()) for one, other in pairs),
    )


def _give_up(case: Case, error: DsadError) -> None:
    case.failure = str(error)
    _close(case)


def _close(case: Case) -> None:
    engine, case.engine = case.engine, None
    if engine is not None:
        with suppress(DsadError):
            engine.close()
