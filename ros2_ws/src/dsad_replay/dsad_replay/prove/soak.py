"""Soak: many frames through a real detector; memory, time a frame and its latency stay where they were."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from dsad_replay.prove.rig import Rig, alone
from dsad_tools.prove.proof import Check, Setting

#: Frames of each size in the long form, and in every form.
RUNS = (((64, 64), 1_000_000, 400), ((640, 512), 100_000, 200))
#: A run is judged by its blocks: of so many frames, or fewer where that would be less than so many blocks.
BLOCK, LEAST_BLOCKS = 500, 40
#: Memory may grow by this share, or by so many bytes in a short run, where buffers are still being filled.
DRIFT, SLACK = 0.01, 4 << 20
#: Processor time a frame may grow by this share, and the 99th percentile of the latency.
SLOWER = 0.25
#: Processor seconds from which on time a frame means something; frames of a block from which on its 99th percentile
#: does, and the run is long.
JUDGED_SECONDS, JUDGED_FRAMES = 1.0, 500
#: Other load is no drift of the latency: at each end only the blocks are asked in which the detector's threads waited
#: least for a processor, so large a share of them and so many at least. They say something where they waited for no
#: more than half of their time (of all threads together), and alike at both ends.
QUIETEST, LEAST_QUIETEST = 0.2, 5
BUSY, ALIKE = 0.5, 0.05


@dataclass(frozen=True)
class Block:
    """What was seen of the detector over some frames.

    Attributes:
        rss: resident memory at its end, bytes.
        spent: processor time, seconds.
        waited: time that threads were ready to run and had no processor, seconds.
        wall: seconds.
        p99: 99th percentile of the latency, milliseconds.
        frames: of them.
    """

    rss: int
    spent: float
    waited: float
    wall: float
    p99: float
    frames: int

    @property
    def waiting(self) -> float:
        """Time waited over wall time; several threads may wait at once."""
        return self.waited / self.wall


def prove(setting: Setting) -> Iterator[Check]:
    """One check a size: every frame is accounted for; the first and the last quarter of the run are alike."""
    with alone():
        for (width, height), long, least in RUNS:
            if not setting.done(f"{width}x{height}"):
                yield _soak(setting, width, height, setting.count(long, least))


def _soak(setting: Setting, width: int, height: int, frames: int) -> Check:
    name, blocks = f"{width}x{height}", list[Block]()
    with Rig(setting.folder, f"soak{width}", setting.engine, frame_size=name) as rig:
        _send(rig, width, height, max(20, frames // 20))  # buffers and caches fill
        size, done = min(BLOCK, -(-frames // LEAST_BLOCKS)), 0
        while done < frames:
            blocks.append(_block(rig, width, height, size))
            done += size
            setting.tell(f"{name} {done:,} of {frames:,}")
        exact = rig.ends_exact()
    passed, seen = judge(blocks)
    return Check(name, done, "frames", passed, f"{seen}; {exact}")


def _block(rig: Rig, width: int, height: int, frames: int) -> Block:
    process = rig.process
    spent, waited, began = sum(process.cpu_times()[:2]), _waited(process), time.monotonic()
    rig.latencies.clear()
    _send(rig, width, height, frames)
    return Block(
        process.memory_info().rss,
        sum(process.cpu_times()[:2]) - spent,
        _waited(process) - waited,
        time.monotonic() - began,
        float(np.percentile(rig.latencies, 99)) / 1e6,
        frames,
    )


def _send(rig: Rig, width: int, height: int, frames: int) -> None:
    """One frame at a time. Of several on their way the newest wins, and what it overwrites would be no load."""
    for _ in range(frames):
        rig.send(width, height)


def judge(blocks: Sequence[Block]) -> tuple[bool, str]:
    """Whether the last quarter of the blocks is like the first, and what was seen."""
    part = len(blocks) // 4
    first, last = blocks[:part], blocks[-part:]
    rss = [median(block.rss for block in end) for end in (first, last)]
    long = blocks[0].frames >= JUDGED_FRAMES
    passed = rss[1] - rss[0] <= (DRIFT * rss[0] if long else max(DRIFT * rss[0], SLACK))
    seen = f"RSS {rss[0] / 2**20:.1f} to {rss[1] / 2**20:.1f} MiB ({100 * (rss[1] / rss[0] - 1):+.2f} %)"

    spent = [sum(block.spent for block in end) for end in (first, last)]
    slower = spent[1] / max(spent[0], 1e-9)
    # Processor time is counted in ticks of 10 ms: a short run has too few of them to be judged.
    judged = spent[0] >= JUDGED_SECONDS
    passed &= not judged or slower <= 1 + SLOWER
    seen += f", processor time a frame {100 * (slower - 1):+.1f} %{'' if judged else ' (too short to judge)'}"

    quiet = [_quietest(end) for end in (first, last)]
    waiting = [median(block.waiting for block in end) for end in quiet]
    p99 = [median(block.p99 for block in end) for end in quiet]
    said = f", p99 {p99[0]:.2f} to {p99[1]:.2f} ms"
    if not long:
        return bool(passed), f"{seen}{said} (too short to judge)"
    judged = max(waiting) <= BUSY and abs(waiting[1] - waiting[0]) <= ALIKE
    passed &= not judged or p99[1] <= (1 + SLOWER) * p99[0]
    waits = f"waited for processors {100 * waiting[0]:.0f} and {100 * waiting[1]:.0f} % of the time"
    return bool(passed), f"{seen}{said} ({waits}{'' if judged else ': not judged'})"


def _quietest(blocks: Sequence[Block]) -> list[Block]:
    number = max(LEAST_QUIETEST, round(QUIETEST * len(blocks)))
    return sorted(blocks, key=lambda block: block.waiting)[:number]


def _waited(process: psutil.Process) -> float:
    """Seconds that the process's threads were ready to run and had no processor, as the kernel counts it; infinite
    where it does not, so that no latency is judged."""
    total = 0
    for thread in process.threads():
        with contextlib.suppress(ProcessLookupError):  # it ended this moment
            try:
                total += int(Path(f"/proc/{process.pid}/task/{thread.id}/schedstat").read_text().split()[1])
            except FileNotFoundError:
                if not Path("/proc/self/schedstat").exists():
                    return float("inf")
    return total / 1e9
