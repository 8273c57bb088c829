"""The queue: which job goes to which worker, and what is kept of what they send back."""

import multiprocessing as mp
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dsad_training import results
from dsad_training.checkpoint import WEIGHTS_FILE
from dsad_training.compile.manifest import commit as commit_of_checkout
from dsad_training.distributed import usable_device
from dsad_training.experiments.plan import Job, Plan, Run, plan_jobs, plan_runs
from dsad_training.experiments.worker import STOP, Bench, serve

RESULTS = "results.csv"
#: Seconds in which a worker ends its step and its scoring after a request to stop.
PATIENCE = 30.0


@dataclass
class Worker:
    """A process, its end of the pipe, and the job it is at."""

    process: mp.process.BaseProcess
    channel: Connection
    job: Job | None = None
    asked: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a call of :func:`run_plan` left: runs done in all, of the plan's; jobs that failed in this call."""

    done: int
    runs: int
    failed: int


def run_plan(
    plan: Plan,
    data: Path,
    out: Path,
    jobs: int = 1,
    device: str = "cpu",
    minutes: float | None = None,
    commit: str | None = None,
) -> Outcome:
    """Train what is not done yet. Results go to ``out/results.csv``, weights to a folder for each run.

    Args:
        data: folder that the data sets lie in.
        jobs: worker processes; each takes one core, or a share of the GPU.
        minutes: wall clock after which every worker stops cleanly. A later call goes on.
        commit: of this project, where it is not a checkout.

    Raises:
        UsageError: the device is not there.
        DataError: ``out/results.csv`` is not of this project.
    """
    usable_device(device)
    out.mkdir(parents=True, exist_ok=True)
    deadline = None if minutes is None else time.time() + 60 * minutes
    bench = Bench(plan, data, out, device, commit if commit is not None else commit_of_checkout(), deadline)
    return Queue(bench, jobs).run()


class Queue:
    """Hands out jobs in the plan's order, each as soon as what it needs is done."""

    def __init__(self, bench: Bench, jobs: int):
        self.bench, self.size = bench, jobs
        self.results = bench.out / RESULTS
        self.runs = plan_runs(bench.plan)
        lines = results.read(self.results)
        scored = dict(zip(lines["run"], lines["images"]))
        self.done = {run.name for run in self.runs if self._is_done(run, scored)}
        left = [run for run in self.runs if run.name not in self.done]
        # A teacher that only other runs name is not in the tables asked for, but they need it all the same.
        self.waiting = plan_jobs(bench.plan, left)
        self.failed: list[Job] = []
        self.console = Console(soft_wrap=True, highlight=False)
        self.stopping = False

    def run(self) -> Outcome:
        """Work until nothing is left that can be done, time is out, or somebody interrupts."""
        workers: list[Worker] = []
        with self._progress() as progress, stop_requests(self._stop):
            task = progress.add_task("runs", total=len(self.runs), completed=len(self.done), last="")
            try:
                while True:
                    self._hand_out(workers)
                    busy = [worker for worker in workers if worker.job]
                    if not busy:
                        break
                    if self.stopping:
                        self._ask_to_stop(busy)
                    for channel in wait([worker.channel for worker in busy], timeout=1.0):
                        self._hear(next(w for w in workers if w.channel is channel), workers)
                    progress.update(task, completed=len(self.done), last=self._at_work(workers))
            finally:
                for worker in workers:
                    self._end(worker)
        left = sum(len(job.runs) for job in self.waiting)
        if left:
            self._say(f"{left} runs are left; the same command goes on with them")
        return Outcome(len(self.done), len(self.runs), len(self.failed))

    def _is_done(self, run: Run, scored: dict[str, int]) -> bool:
        """Whether it was scored after as many images as the plan gives it, and its weights are there to learn from."""
        weights = self.bench.out / run.name / WEIGHTS_FILE
        trained = scored.get(run.name) == run.images(self.bench.plan)
        return trained and (run.kind != "teacher" or weights.exists())

    def _hand_out(self, workers: list[Worker]) -> None:
        late = self.bench.deadline is not None and time.time() >= self.bench.deadline
        while not (self.stopping or late):
            job = next((job for job in self.waiting if job.needs <= self.done), None)
            idle = next((worker for worker in workers if not worker.job), None)
            if job is None or (idle is None and len(workers) == self.size):
                return
            if idle is None:
                workers.append(idle := self._start())
            self.waiting.remove(job)
            idle.job = job
            idle.channel.send((job, results.best_weights(results.read(self.results))))

    def _hear(self, worker: Worker, workers: list[Worker]) -> None:
        try:
            kind, content = worker.channel.recv()
        except (EOFError, ConnectionError):
            kind, content = "failed", "its process ended"
            workers.remove(worker)
        job = worker.job
        if kind == "say":
            self._say(content)
        elif job is None:
            return
        elif kind == "done":
            results.append(self.results, content)
            self.done |= {run.name for run in job.runs}
            self._say(f"done: {job.name}{shown(content)}")
        elif kind == "stopped":
            self.waiting.insert(0, job)
        elif kind == "failed":
            self.failed.append(job)
            self._say(f"failed: {job.name}: {content}")
        if kind in ("done", "stopped", "failed"):
            worker.job = None

    def _start(self) -> Worker:
        context = mp.get_context("spawn")
        mine, theirs = context.Pipe()
        process = context.Process(target=serve, args=(self.bench, theirs), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, mine)

    def _end(self, worker: Worker) -> None:
        try:
            worker.channel.send(STOP if worker.job else None)
        except (BrokenPipeError, ConnectionError):
            pass
        worker.process.join(0.1 if worker.job is None else PATIENCE)
        if worker.process.is_alive() and worker.job is None:
            worker.process.join(PATIENCE)
        if worker.process.is_alive():
            worker.process.terminate()

    def _ask_to_stop(self, busy: list[Worker]) -> None:
        for worker in busy:
            if not worker.asked:
                worker.asked = True
                worker.channel.send(STOP)

    def _stop(self) -> None:
        """Ask every worker to stop after the step at hand; called from a signal's handler."""
        self.stopping = True

    def _at_work(self, workers: list[Worker]) -> str:
        return f"{sum(worker.job is not None for worker in workers)} jobs at work"

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[last]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )


def shown(lines: list[results.Line]) -> str:
    """The scores of a job in one line."""
    parts = [f"{line.split} IoU {100 * (line.iou or 0):.2f}" for line in lines]
    return f"  {', '.join(parts)}" if len(parts) <= 2 else f"  {len(parts)} scores"


@contextmanager
def stop_requests(stop: Callable[[], None]):
    """SIGINT and SIGTERM call ``stop`` instead of ending the process."""
    previous = {
        number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
