"""Cold start and memory of one runtime, in a process of its own: ``python -m dsad_tools.bench.cold``."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from dsad_core.engines.backends import BACKENDS
from dsad_core.engines.manifest import Precision
from dsad_core.errors import DsadError, EngineError
from dsad_core.frame.geometry import padded_size
from dsad_tools.bench.models import Model
from dsad_tools.bench.runtimes import Runtime, runtimes

#: Seconds after which a first answer is not waited for any longer.
PATIENCE = 600


@dataclass(frozen=True)
class ColdStart:
    """The first answer of a fresh process. What is cached on disk (plans, compiled code) is there already.

    Attributes:
        start_ms: from the start of the process, imports included, to the first answer.
        load_ms: from the first look at the network to the first answer.
        memory_mib: most memory the process ever held, less what it held after the imports that all share.
    """

    start_ms: float
    load_ms: float
    memory_mib: float


def cold_start(
    model: Model, runtime: Runtime, platform: str, threads: int, size: tuple[int, int]
) -> ColdStart:
    """Measure it for frames of ``size`` (height, width).

    Raises:
        EngineError: there was no answer; the last line that the process wrote says why.
    """
    task = {
        "engine": str(model.engine),
        "checkpoint": model.checkpoint and str(model.checkpoint),
        "contender": runtime.name,
        "target": platform,
        "threads": threads,
        "size": size,
    }
    start = time.monotonic_ns()
    try:
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, json.dumps(task | {"start": start})],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"no first answer within {PATIENCE} s") from error
    if done.returncode:
        raise EngineError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    # A runtime may write to the standard output, too.
    return ColdStart(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """The process: one runtime, one frame, figures as JSON on the last line."""
    task = json.loads(sys.argv[1])
    model = Model(Path(task["engine"]), Path(task["checkpoint"]) if task["checkpoint"] else None)
    before, opened = _memory("VmRSS"), time.monotonic_ns()
    try:
        every = runtimes(task["target"], list(BACKENDS), get_args(Precision))
        runtime = next(one for one in every if one.name == task["contender"])
        height, width = task["size"]
        size = padded_size(height, width, model.manifest.size_multiple)
        engine = runtime.open(model, task["target"], task["threads"], size)
        engine.infer(np.zeros((1, engine.manifest.input_channels, *size), np.float32))
    except DsadError as error:
        sys.exit(str(error))
    answered = time.monotonic_ns()
    print(
        json.dumps(
            {
                "start_ms": (answered - task["start"]) / 1e6,
                "load_ms": (answered - opened) / 1e6,
                "memory_mib": (_memory("VmHWM") - before) / 1024,
            }
        )
    )


def _memory(key: str) -> int:
    """KiB; the kernel's VmHWM, unlike getrusage's, starts anew with the program."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key))


if __name__ == "__main__":
    main()
