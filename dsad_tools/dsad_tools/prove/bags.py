"""Many bags: processes count what one process counts, also where one of them is killed."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from dsad_core.metrics.accumulator import DetectionResult
from dsad_tools.bags.write import BagWriter
from dsad_tools.gate import Score, Task, find_bags, on_processes, score, total
from dsad_tools.prove.proof import Check, Setting
from dsad_tools.scenes.generator import SceneGenerator

#: Bags in the long form and in every form, and their frames.
BAGS, LEAST, FRAMES = 100, 6, 8
WORKERS = 2


def prove(setting: Setting) -> Iterator[Check]:
    """The gate on generated bags: one process, several, and several of which one is killed."""
    count = setting.count(BAGS, LEAST)
    for number in range(count):
        scenes = SceneGenerator(96, 128, FRAMES, seed=setting.seed + number)
        with BagWriter(setting.folder / f"bag{number:04d}", ("mcap", "sqlite3")[number % 2]) as bag:
            for sample in scenes:
                bag.write(sample)
    tasks = [Task(str(bag), setting.engine) for bag in find_bags(setting.folder)]
    one = _counts([score(task) for task in tasks])
    several = _counts(list(on_processes(tasks, WORKERS)))
    seen = f"{one.frames} frames, {one.hits} of {one.targets} targets, {one.false_targets} false"
    yield Check(f"{WORKERS} processes count as one", count, "bags", several == one, seen)

    scores: list[Score] = []
    killed = 0
    for each in on_processes(tasks, WORKERS):
        scores.append(each)
        if not killed:
            killed = _kill_a_worker()
    lost = count - len({each.bag for each in scores})
    passed = bool(killed) and _counts(scores) == one and len(scores) == count
    yield Check(
        "a worker is killed in the middle",
        count,
        "bags",
        passed,
        f"process {killed} killed, {lost} bags lost",
    )


def _counts(scores: list[Score]) -> DetectionResult:
    return total(scores).result()


def _kill_a_worker() -> int:
    """Kill one process of the pool, and say which; 0 where there is none."""
    for child in psutil.Process().children():
        if any("spawn_main" in word for word in child.cmdline()):
            child.kill()
            return child.pid
    return 0
