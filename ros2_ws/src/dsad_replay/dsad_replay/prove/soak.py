"""Soak: many frames through a real detector; memory and time a frame stay where they were."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np

from dsad_replay.prove.rig import Rig, alone
from dsad_tools.prove.proof import Check, Setting

#: Frames of each size in the long form, and in every form.
RUNS = (((64, 64), 1_000_000, 400), ((640, 512), 100_000, 200))
#: Samples of memory and processor time over a run.
SAMPLES = 40
#: Memory may grow by this share, or by so many bytes in a short run, where buffers are still being filled.
DRIFT, SLACK = 0.01, 4 << 20
#: Processor time a frame may grow by this share. It is judged in place of wall time, which other load changes.
SLOWER = 0.25


def prove(setting: Setting) -> Iterator[Check]:
    """One check a size: every frame is answered; RSS and processor time of the first and last tenth are alike."""
    with alone():
        for (width, height), long, least in RUNS:
            yield _soak(setting, width, height, setting.count(long, least))


def _soak(setting: Setting, width: int, height: int, frames: int) -> Check:
    rss, spent = [], []
    with Rig(setting.folder, f"soak{width}", setting.engine, frame_size=f"{width}x{height}") as rig:
        for _ in range(max(20, frames // 20)):  # buffers and caches fill
            rig.send(width, height)
        rig.latencies.clear()
        for _ in range(SAMPLES):
            before = sum(rig.process.cpu_times()[:2])
            for _ in range(-(-frames // SAMPLES)):
                rig.send(width, height)
            spent.append(sum(rig.process.cpu_times()[:2]) - before)
            rss.append(rig.process.memory_info().rss)
        exact = rig.ends_exact()
        milliseconds = np.array(rig.latencies) / 1e6
    part = SAMPLES // 4
    first, last = median(rss[:part]), median(rss[-part:])
    slower = sum(spent[-part:]) / max(sum(spent[:part]), 1e-9)
    # Processor time is counted in ticks of 10 ms: a short run has too few of them to be judged.
    judged = sum(spent[:part]) >= 1.0
    p99 = [
        np.percentile(half, 99)
        for half in (milliseconds[: len(milliseconds) // 4], milliseconds[-len(milliseconds) // 4 :])
    ]
    passed = last - first <= max(DRIFT * first, SLACK) and (not judged or slower <= 1 + SLOWER)
    return Check(
        f"{width}x{height}",
        len(milliseconds),
        "frames",
        bool(passed),
        f"RSS {first / 2**20:.1f} to {last / 2**20:.1f} MiB ({100 * (last / first - 1):+.2f} %), processor time a frame "
        f"{100 * (slower - 1):+.1f} %{'' if judged else ' (too short to judge)'}, p99 {p99[0]:.2f} to {p99[1]:.2f} ms; {exact}",
    )
