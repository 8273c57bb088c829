"""A long-lived process that trains one job after another: torch starts and data sets are read once."""

import gc
import signal
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from dsad_core.errors import DsadError
from dsad_training.checkpoint import STATE_FILE, save_weights
from dsad_training.experiments.cohort import SAVE_EVERY, Cohort, Student
from dsad_training.experiments.frames import Frames, load_frames, score
from dsad_training.experiments.plan import Job, Plan
from dsad_training.results import Line

THRESHOLD = 0.5
#: What the parent sends to end a job after the step at hand.
STOP = "stop"


@dataclass(frozen=True)
class Bench:
    """What every worker of a queue has in common.

    Attributes:
        data: folder that the data sets lie in; out: folder of the runs.
        commit: of this project.
        deadline: ``time.time()`` at which work stops, or None.
    """

    plan: Plan
    data: Path
    out: Path
    device: str
    commit: str
    deadline: float | None


def serve(bench: Bench, channel: Connection) -> None:
    """Train the jobs that come in; send ("step", number), ("say", text) and, last for each job, ("done", lines).

    A job ends with ("stopped", None) at the deadline or on a request, and with ("failed", text) where it cannot go on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and says so
    torch.set_num_threads(1)
    frames: dict[str, Frames] = {}
    while (message := channel.recv()) not in (None, STOP):
        job, weights = message
        try:
            channel.send(_train(bench, job, weights, frames, channel))
        except DsadError as error:
            channel.send(("failed", str(error)))
        except Exception:  # one job's fault must not end the others
            channel.send(("failed", traceback.format_exc()))
        if bench.device == "cuda":
            gc.collect()  # recorded graphs hold their memory until they go
            torch.cuda.empty_cache()


def _train(
    bench: Bench,
    job: Job,
    weights: dict[tuple[str, str], float],
    frames: dict[str, Frames],
    channel: Connection,
) -> tuple[str, object]:
    plan, device = bench.plan, torch.device(bench.device)
    data_set = job.runs[0].data_set
    if data_set not in frames:
        folder = bench.data / plan.data[data_set]
        frames[data_set] = load_frames(folder, plan.grid, plan.validation[data_set], device)
    teacher = bench.out / job.teacher if job.teacher else None
    runs = [(run, run.recipe(plan, teacher, weights.get((run.network, run.method)))) for run in job.runs]
    cohort = Cohort(
        runs, frames[data_set], teacher, bench.out, device, lambda text: channel.send(("say", text))
    )
    if bench.device == "cpu":
        cohort.resume()
    saved = shown = time.monotonic()
    while not cohort.done:
        cohort.step()
        now = time.monotonic()
        late = bench.deadline is not None and time.time() >= bench.deadline
        stopping = late or (channel.poll() and channel.recv() == STOP)
        if bench.device == "cpu" and (stopping or now - saved > SAVE_EVERY):
            cohort.save()
            saved = now
        if stopping and not cohort.done:
            return "stopped", None
        if now - shown > 1:
            channel.send(("step", cohort.step_number))
            shown = now
    lines = [line for student in cohort.students for line in _score(bench, cohort, student, frames[data_set])]
    return "done", lines


def _score(bench: Bench, cohort: Cohort, student: Student, frames: Frames) -> list[Line]:
    run, state = student.run, student.state
    ratio, minutes = cohort.gradient_ratio(student), cohort.minutes(student)
    data, distillation = state.recipe.data, state.recipe.distillation
    # A weight that is chosen for the test is chosen on the validation part alone.
    parts = {name: part for name, part in frames.parts.items() if name != "test" or run.kind != "sweep"}
    lines = []
    for name, part in parts.items():
        result = score(state.ema, part, data, THRESHOLD)
        lines.append(
            Line(
                run=run.name,
                kind=run.kind,
                network=run.network,
                width=run.width,
                spatial=run.spatial,
                data_set=run.data_set,
                method=run.method,
                map=run.map,
                seed=run.seed,
                weight=distillation.weight if distillation else 0.0,
                gradient_ratio=ratio,
                images=state.images,
                minutes=round(minutes, 4),
                split=name,
                iou=result.iou,
                niou=result.niou,
                pd=result.pd,
                fa=result.fa,
                hits=result.hits,
                targets=result.targets,
                grid=bench.plan.grid,
                threshold=THRESHOLD,
                split_hash=frames.split_hash[name],
                device=bench.device,
                commit=bench.commit,
            )
        )
    if run.kind != "sweep":
        facts = {
            "data": f"{run.data_set} train",
            "split_hash": "",
            "images": state.images,
            "step": state.step,
        }
        save_run(bench.out / run.name, student, facts)
    return lines


def save_run(folder: Path, student: Student, facts: dict[str, object]) -> None:
    """The averaged weights of a finished run, and no state to resume it from."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder, student.state.ema.state_dict(), student.state.recipe, facts)
    (folder / STATE_FILE).unlink(missing_ok=True)
