"""The measurement of every case, with the engine alone in the same run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import numpy as np
from rclpy.executors import Executor
from rich.progress import Progress

from dsad_core.engines.protocol import Engine
from dsad_core.frame.geometry import padded_size
from dsad_replay.bench.pipeline import Pipeline
from dsad_replay.bench.timings import Case, Timings

#: Turns of pipeline and engine alone in a free run: other load on the machine hits both alike.
ROUNDS = 5
#: A lost answer is given up after so many inferences, and not before so many seconds.
PATIENCE_INFERENCES, PATIENCE_SECONDS = 6, 0.3


def measure(
    cases: Iterable[Case], engine: Engine, detector: dict, frames: int, executor: Executor, progress: Progress
) -> dict[Case, Timings]:
    """Measure the cases one after the other.

    Args:
        cases: what to measure.
        engine: the detector's engine with the same threads, in this process.
        detector: parameters of the detector.
        frames: answers of a free run and inferences of the engine alone; frames sent at a fixed rate.
        executor: of this process.
        progress: shows how far each case is.
    """
    results = {}
    for case in cases:
        task = progress.add_task(case.title, total=frames)
        tensor = _tensor(engine, case)
        patience = max(PATIENCE_SECONDS, PATIENCE_INFERENCES * median(_infer(engine, tensor, 5)) / 1e9)
        timings = results[case] = Timings()
        with (
            tempfile.TemporaryDirectory(prefix="dsad_bench.") as scratch,
            Pipeline(case, detector, patience, Path(scratch), executor) as pipeline,
        ):
            if case.rate is not None:
                timings.blocks.append(
                    pipeline.run_at_rate(
                        frames, lambda count, task=task: progress.update(task, completed=count)
                    )
                )
                continue
            for turn in range(1, ROUNDS + 1):
                timings.blocks.append(pipeline.run_free(-(-frames // ROUNDS)))
                timings.engine_ns.extend(_infer(engine, tensor, -(-frames // ROUNDS)))
                progress.update(task, completed=frames * turn / ROUNDS)
    return results


def _infer(engine: Engine, tensor: np.ndarray, times: int) -> list[int]:
    """Nanoseconds of each of some inferences."""
    durations = []
    for _ in range(times):
        begin = time.monotonic_ns()
        engine.infer(tensor)
        durations.append(time.monotonic_ns() - begin)
    return durations


def _tensor(engine: Engine, case: Case) -> np.ndarray:
    # Noise, not zeros: the speed of floating point can depend on the values.
    size = padded_size(case.height, case.width, engine.manifest.size_multiple)
    shape = (1, engine.manifest.input_channels, *size)
    return np.random.default_rng(0).random(shape, dtype=np.float32)
