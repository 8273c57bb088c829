"""Training loops in turn, so that other load on the machine hits them alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dsad_core.errors import UsageError
from dsad_tools.data.dataset import SirstDataset
from dsad_training.bench.plain import PlainLoop
from dsad_training.data.batches import Batches
from dsad_training.data.packed import pack
from dsad_training.networks.build import build_network
from dsad_training.recipe import Recipe
from dsad_training.state import TrainingState
from dsad_training.train import training_step

#: Untimed steps of each loop: torch chooses kernels and allocates in the first ones.
WARM_UP = 2


@dataclass(frozen=True)
class Block:
    """A stretch of steps of one loop.

    Attributes:
        seconds: wall clock; cpu_seconds: of this process, all its threads.
    """

    images: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


@dataclass
class Comparison:
    """Blocks of the loops, in rounds that ran one right after the other.

    Attributes:
        plain: blocks of the plain loop; operators: of this stage's loop on torch's operators; ours: of this stage's
            loop as recipes have it, on the compiled kernels where this machine has them.
        batch, crop: images of a step and side of the crops, px.
        pack_seconds: time to decode and pack the whole split, which a training of ours spends once at its
            start; not in the rates.
    """

    batch: int
    crop: int
    pack_seconds: float
    plain: list[Block] = field(default_factory=list)
    operators: list[Block] = field(default_factory=list)
    ours: list[Block] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Our rate over the plain one, round by round."""
        return [ours.rate / plain.rate for plain, ours in zip(self.plain, self.ours)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def loops(self) -> dict[str, list[Block]]:
        return {"plain": self.plain, "operators": self.operators, "ours": self.ours}

    def cpu_seconds(self, name: str) -> float:
        """Of a step of the loop of that name; median of its blocks."""
        return self.batch * statistics.median(block.cpu_seconds / block.images for block in self.loops[name])

    def to_dict(self) -> dict[str, Any]:
        loops = {
            name: {
                "images_per_second": statistics.median(block.rate for block in blocks),
                "cpu_seconds_per_step": self.cpu_seconds(name),
                "blocks": [asdict(block) for block in blocks],
            }
            for name, blocks in self.loops.items()
        }
        return {
            "batch": self.batch,
            "crop": self.crop,
            "pack_seconds": self.pack_seconds,
            **loops,
            "ratio": self.ratio,
            "ratios": self.ratios,
        }


def compare(
    recipe: Recipe,
    data: str | Path,
    blocks: int,
    seconds: float,
    workers: int,
    advance: Callable[[], None] = lambda: None,
) -> Comparison:
    """Time ``blocks`` rounds of blocks, each at least ``seconds`` long, on the training split of ``data``.

    Args:
        recipe: of our loop; its first phase has batch and crop, its network is trained by all.
        workers: loader processes of the plain loop.
        advance: called after each block.

    Raises:
        UsageError: the split has fewer images than a batch; DataError: the data set cannot be read.
    """
    phase = recipe.phases[0]
    source = SirstDataset(data, "train")
    if len(source) < phase.batch:
        raise UsageError(f"a batch of {phase.batch}: the training split of {data} has {len(source)} images")
    start = time.perf_counter()
    packed = pack((sample.name, sample.image, sample.truth) for sample in source)
    comparison = Comparison(phase.batch, phase.crop, time.perf_counter() - start)

    plain = PlainLoop(build_network(recipe.network), source, phase.batch, phase.crop, workers)
    loops: list[tuple[Callable[[], Any], list[Block]]] = [(plain.step, comparison.plain)]
    for kernels, done in ((False, comparison.operators), (recipe.kernels, comparison.ours)):
        state = TrainingState.fresh(recipe.model_copy(update={"kernels": kernels}), torch.device("cpu"))
        batches = Batches(packed, recipe.data.augmentation, state.generator)
        loops.append((partial(training_step, state, batches, phase), done))
    for step, _ in loops:
        for _ in range(WARM_UP):
            step()
    for turn in range(blocks):
        # The order swaps, so that none always has the machine that another has warmed.
        for step, done in loops if turn % 2 == 0 else loops[::-1]:
            done.append(_block(step, phase.batch, seconds))
            advance()
    return comparison


def _block(step: Callable[[], Any], batch: int, seconds: float) -> Block:
    count, start, cpu = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - start) < seconds or count == 0:
        step()
        count += 1
    return Block(count * batch, elapsed, time.process_time() - cpu)
