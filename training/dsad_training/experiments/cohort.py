"""Students trained side by side: the same batches and one pass of the teacher for all of them.

What costs most in a distilled step is the teacher's pass, and what makes two methods hard to compare is that each saw
other crops. Side by side both are gone. Every student has its own weights, optimiser and average, so that it is trained
exactly as it would be alone.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from dsad_core.errors import UsageError
from dsad_training.checkpoint import STATE_FILE, CheckpointError, load_state
from dsad_training.data.batches import Batches
from dsad_training.distillers.build import Distillation, Teacher
from dsad_training.distillers.trace import Trace
from dsad_training.experiments.frames import Frames
from dsad_training.experiments.graphs import recorded
from dsad_training.experiments.plan import Run
from dsad_training.losses import task_loss
from dsad_training.recipe import Recipe
from dsad_training.schedule import decay_at, learning_rate
from dsad_training.state import TrainingState

#: Steps before the kernels are recorded, and steps after it that are timed.
WARM, TIMED = 3, 8
#: Batches drawn at once on a GPU, where a draw costs its launches whatever its size.
DRAWN = 16
#: Streams that a GPU's kernels are spread over.
STREAMS = 8
#: Seconds between saves on a CPU.
SAVE_EVERY = 180.0


@dataclass
class Inputs:
    """What a step reads, in tensors that stay where they are."""

    image: Tensor
    blurred: Tensor | None
    truth: Tensor
    rate: Tensor
    fresh: Tensor  # share of the new weights in their average


@dataclass
class Student:
    """A run on its way; ``seconds`` it took so far, the teacher's passes that it needs included."""

    run: Run
    state: TrainingState
    losses: dict[str, Tensor] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    before: float = 0.0

    def step(self, inputs: Inputs, taught: Trace | None) -> None:
        """One step of the weights and of their average."""
        state = self.state
        losses = self.parts(inputs, taught)
        state.optimiser.zero_grad()
        total: Any = sum(losses.values())
        total.backward()
        state.optimiser.step()
        average(state.ema, state.network, inputs.fresh)
        self.losses = {name: loss.detach() for name, loss in losses.items()}

    def parts(self, inputs: Inputs, taught: Trace | None) -> dict[str, Tensor]:
        """The parts of the loss on the batch at hand."""
        state, recipe = self.state, self.state.recipe
        views = (inputs.image, inputs.blurred) if state.network.two_views else (inputs.image,)
        with torch.autocast(inputs.image.device.type, torch.bfloat16, recipe.bf16, cache_enabled=False):
            outputs = state.network(*views)
            losses = {"task": task_loss(outputs, inputs.truth, recipe.bce)}
            if state.distillation:
                losses["taught"] = state.distillation.loss(outputs, inputs.image, taught)
        return losses

    def gradient_ratio(self, inputs: Inputs, taught: Trace | None) -> float | None:
        """|gradient of the teacher's part| / |gradient of the task| at the student's weights."""
        if self.state.distillation is None:
            return None
        parameters, norms = list(self.state.network.parameters()), []
        losses = self.parts(inputs, taught)
        for name in ("taught", "task"):
            found = torch.autograd.grad(losses[name], parameters, retain_graph=True, allow_unused=True)
            norms.append(nn.utils.get_total_norm([each for each in found if each is not None]).item())
        return norms[0] / norms[1] if norms[1] else None


class Cohort:
    """Students of one network and data set.

    Args:
        runs: with their recipes.
        teacher: run folder of the teacher, where any of them has one.
        out: folder that each run's own folder lies in.
        say: shows a line to people.
    """

    def __init__(
        self,
        runs: list[tuple[Run, Recipe]],
        frames: Frames,
        teacher: Path | None,
        out: Path,
        device: torch.device,
        say: Callable[[str], None] = print,
    ):
        self.device, self.out, self.say, self.gpu = device, out, say, device.type == "cuda"
        needs_entering = any(run.method == "crosskd" for run, _ in runs)
        taught = any(recipe.distillation for _, recipe in runs)
        if taught and teacher is None:
            raise UsageError(f"{runs[0][0].name} needs the run folder of its teacher")
        self.teacher = Teacher(teacher, device, entering=needs_entering) if taught and teacher else None
        self.students = [
            Student(run, started(recipe, device, self.teacher), seconds=[]) for run, recipe in runs
        ]
        self.recipe = recipe = runs[0][1]
        self.phase = recipe.phases[0]
        if recipe.channels_last and self.teacher and self.gpu:
            self.teacher.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Every run of a seed draws the same crops, in whatever company.
        self.generator = self.students[0].state.generator
        self.batches = Batches(frames.kept, recipe.data.augmentation, self.generator)
        self.step_number, self._left = 0, 0
        self._pending: list[tuple] = []
        self.inputs: Any = None  # Inputs, from the first batch on
        self._look = self._teach
        self._steps: list[Callable[[], None]] = [partial(self._train, student) for student in self.students]
        self.taught: Trace | None = None
        self._main = torch.cuda.Stream() if self.gpu else None
        if self._main:
            torch.cuda.synchronize()
        self.streams: list[torch.cuda.Stream] = []
        self.teacher_seconds: list[float] = []

    @property
    def done(self) -> bool:
        return self.step_number >= self.phase.steps

    def step(self) -> None:
        """The next step of every student."""
        # Nothing can be recorded on a GPU's default stream.
        with torch.cuda.stream(self._main) if self._main else nullcontext():
            self._step()

    def _step(self) -> None:
        self._fill()
        if self.gpu and self.step_number == WARM:
            self._record()
        if not self.gpu or self.step_number < WARM + TIMED:
            self._step_timed()
        else:
            self._step_in_streams()
        self.step_number += 1
        for student in self.students:
            student.state.step = self.step_number
            student.state.images += self.phase.batch

    def save(self) -> None:
        """Write every student's state, from which :meth:`resume` goes on."""
        for student in self.students:
            student.state.seconds = student.before + self._seconds(student)
            student.state.save(self.out / student.run.name, {"split_hash": ""})

    def resume(self) -> bool:
        """Go on where :meth:`save` left off; False where there is nothing that fits all students."""
        folders = [self.out / student.run.name for student in self.students]
        if not all((folder / STATE_FILE).exists() for folder in folders):
            return False
        try:
            saved = [load_state(folder) for folder in folders]
            if len({state["step"] for state in saved}) > 1:
                return False
            for student, state in zip(self.students, saved):
                student.state.restore(state)
                student.before = student.state.seconds
        except CheckpointError:
            return False
        self.step_number = saved[0]["step"]
        return True

    def minutes(self, student: Student) -> float:
        """What the run would have taken alone: its own steps, and the teacher's passes where it learns from one."""
        return (student.before + self._seconds(student)) / 60

    def gradient_ratio(self, student: Student) -> float | None:
        """On the last batch, see :meth:`Student.gradient_ratio`."""
        if self._main:
            self._main.synchronize()
        return student.gradient_ratio(self.inputs, self.taught)

    def _seconds(self, student: Student) -> float:
        teacher = self.teacher_seconds if student.state.distillation else []
        if self.gpu:
            # A GPU's steps are alike and overlap: those timed one by one stand for all.
            return self.step_number * sum(median(part) for part in (student.seconds, teacher) if part)
        return sum(student.seconds) + sum(teacher)

    def _teach(self) -> Trace | None:
        if self.teacher is None:
            return None
        recipe = self.recipe
        with torch.autocast(self.device.type, torch.bfloat16, recipe.bf16, cache_enabled=False):
            return self.teacher.look(self.inputs.image)

    def _train(self, student: Student) -> None:
        student.step(self.inputs, self.taught)

    def _step_timed(self) -> None:
        with timed(self.teacher_seconds, self.gpu):
            self.taught = self._look()
        for student, step in zip(self.students, self._steps):
            student.state.network.train()
            with timed(student.seconds, self.gpu):
                step()

    def _step_in_streams(self) -> None:
        main = torch.cuda.current_stream()
        self.taught = self._look()
        for number, step in enumerate(self._steps):
            stream = self.streams[number % len(self.streams)]
            stream.wait_stream(main)
            with torch.cuda.stream(stream):
                step()
        for stream in self.streams:
            main.wait_stream(stream)
        if self.step_number % 20 == 0:
            main.synchronize()  # launches queued far ahead would run on past a limit of time

    def _record(self) -> None:
        self.streams = [torch.cuda.Stream() for _ in range(min(STREAMS, len(self.students)))]
        for record in (self.teacher_seconds, *(student.seconds for student in self.students)):
            record.clear()
        if self.teacher:
            self._look = recorded(self._teach, self.say, "teacher")
            if self._look == self._teach:
                return  # its answers lie elsewhere after every pass, where recorded students would not find them
            self.taught = self._look()
        self._steps = [recorded(step, self.say, s.run.name) for step, s in zip(self._steps, self.students)]

    def _fill(self) -> None:
        """The next batch, learning rate and averaging into the inputs."""
        image, blurred, truth = self._draw()
        decay = decay_at(self.recipe.ema, self.step_number + 1)
        rate = learning_rate(self.phase, self.step_number)
        if self.inputs is None:
            rates = [torch.zeros((), device=self.device) for _ in range(2)]
            self.inputs = Inputs(
                image.clone(), None if blurred is None else blurred.clone(), truth.clone(), *rates
            )
            for student in self.students:
                for group in student.state.optimiser.param_groups:
                    if self.gpu:
                        group["capturable"], group["lr"] = True, self.inputs.rate
        self.inputs.rate.fill_(rate)
        self.inputs.fresh.fill_(1 - decay)
        if not self.gpu:
            for student in self.students:
                for group in student.state.optimiser.param_groups:
                    group["lr"] = rate
        self.inputs.image.copy_(image)
        self.inputs.truth.copy_(truth)
        if blurred is not None:
            self.inputs.blurred.copy_(blurred)

    def _draw(self) -> tuple[Tensor, Tensor | None, Tensor]:
        count = DRAWN if self.gpu else 1
        if self._left == 0:
            recipe, total = self.recipe, count * self.phase.batch
            image, truth = self.batches.draw(total, self.phase.crop)[:2]
            image = recipe.data.normalised(image)
            two_views = self.students[0].state.network.two_views
            blurred = self.batches.blurred(image) if two_views else None
            layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
            image = image.contiguous(memory_format=layout)
            blurred = None if blurred is None else blurred.contiguous(memory_format=layout)
            parts = [
                [None] * count if x is None else x.split(self.phase.batch) for x in (image, blurred, truth)
            ]
            self._pending, self._left = list(zip(*parts)), count
        self._left -= 1
        return self._pending[-1 - self._left]


def started(recipe: Recipe, device: torch.device, teacher: Teacher | None) -> TrainingState:
    """The state of a run before its first step, with a teacher that it shares."""
    state = TrainingState.fresh(recipe.model_copy(update={"distillation": None}), device)
    if recipe.distillation:
        state.distillation = Distillation(recipe.distillation, state.network, device, teacher)
        state.distillation.check_normalisation(recipe.data)
        own = [p for p in state.distillation.distiller.parameters() if p.requires_grad]
        if own:
            state.optimiser.add_param_group({"params": own})
    state.recipe = recipe
    return state


@torch.no_grad()
def average(mean: nn.Module, network: nn.Module, fresh: Tensor) -> None:
    """Move averaged weights and statistics by a share ``fresh`` towards the network's."""
    pairs = zip(mean.state_dict().values(), network.state_dict().values())
    mine, theirs = zip(*(pair for pair in pairs if pair[0].is_floating_point()))
    away = torch._foreach_sub(theirs, mine)
    torch._foreach_mul_(away, fresh)
    torch._foreach_add_(mine, away)


class timed:
    """Appends the seconds of the block to a list: on a GPU those of its kernels, else this process's own on the CPU,
    so that programs beside it do not count."""

    def __init__(self, record: list[float], gpu: bool):
        self.record, self.gpu = record, gpu
        self.clock = time.perf_counter if gpu else time.process_time

    def __enter__(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()
        self.started = self.clock()

    def __exit__(self, *error: object) -> None:
        if self.gpu:
            torch.cuda.synchronize()
        self.record.append(self.clock() - self.started)
