"""The training loop: one function to read from top to bottom."""

import copy
import json
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dsad_core.errors import UsageError
from dsad_training.checkpoint import STATE_FILE, load_state
from dsad_training.data.batches import Batches
from dsad_training.data.sources import load_training_data
from dsad_training.display import Display, NoDisplay
from dsad_training.distributed import (
    each_rank,
    first_before_the_others,
    joined_ranks,
    rank,
    size,
    usable_device,
)
from dsad_training.evaluate import evaluate
from dsad_training.learner import truth_of
from dsad_training.recipe import Phase, Recipe, build_recipe
from dsad_training.state import TrainingState

#: Seconds between saves; a run that is killed loses no more than these.
SAVE_EVERY = 180.0
LOG_EVERY = 50


def train(
    recipe: Recipe | None,
    data: Sequence[str | Path],
    out: str | Path,
    minutes: float | None = None,
    overrides: Sequence[str] = (),
    device: str = "cpu",
) -> bool:
    """Run a recipe on the training splits of ``data``; state, weights and log go to ``out``.

    Args:
        recipe: what to train, or None to go on with the run in ``out`` by the recipe it was started with.
        data: folder of each data set.
        minutes: wall-clock budget of this call; when it is spent the run stops cleanly and can be resumed.
        overrides: ``key=value`` changes to a resumed run's recipe, such as ``phases.1.steps=500``.

    Returns:
        Whether the last step was reached. SIGINT and SIGTERM stop the run cleanly after the step at hand.

    Raises:
        UsageError: ``out`` already holds a run, the run to resume was trained on other data, the device is
            not there, or a batch cannot be divided over the processes.
        CheckpointError, DataError: the state or the data set cannot be read.
    """
    out, place = Path(out), usable_device(device)
    with joined_ranks(device):
        return _train(recipe, data, out, minutes, overrides, place)


def _train(
    recipe: Recipe | None,
    data: Sequence[str | Path],
    out: Path,
    minutes: float | None,
    overrides: Sequence[str],
    place: torch.device,
) -> bool:
    saved = None
    if recipe is None:
        saved = load_state(out)
        before = json.loads(saved["recipe"])
        recipe = build_recipe(copy.deepcopy(before), overrides, origin=str(out))
        if recipe.start != before.get("start"):
            raise UsageError(f"{out} is on its way: what it starts from is chosen before the first step")
    elif (out / STATE_FILE).exists():
        raise UsageError(f"{out} already holds a run: resume it, or choose another folder")
    check_shares(recipe, size())
    with first_before_the_others():
        images = load_training_data(data, recipe.data, recipe.seed, place)

    state = TrainingState.fresh(recipe, place)
    if saved:
        if saved["facts"]["split_hash"] != images.facts["split_hash"]:
            was, given = (f"{f['data']} ({f['split_hash']})" for f in (saved["facts"], images.facts))
            raise UsageError(f"{out} was trained on {was}, not on {given}: resume it on its own data")
        state.restore(saved)
        state.changes += [f"from step {state.step}: {change}" for change in overrides]
    facts = dict(images.facts)
    if recipe.start:
        facts["start_sha256"] = saved["facts"]["start_sha256"] if saved else state.start_from(recipe.start)
    if state.distillation:
        facts["teacher_sha256"] = state.distillation.teacher_sha256
    # Crops keep their size for a whole phase, so cuDNN's search for the fastest kernels is paid back.
    torch.backends.cudnn.benchmark = True

    held_out = images.held_out
    if held_out and recipe.validate_each:
        held_out = held_out.thinned(recipe.validate_each)
    started = last_save = clock = time.monotonic()
    sums: defaultdict[str, Any] = defaultdict(float)
    count = 0
    shown = Display(out, state.step, recipe.steps) if rank() == 0 else NoDisplay()
    with stop_requests() as stop, shown as display:
        for note in images.notes:
            display.say(note)
        batches = None
        while state.step < recipe.steps:
            number, within = recipe.phase_at(state.step)
            phase = recipe.phases[number]
            if batches is None or within == 0:
                batches = images.batches(phase.all_images, recipe.data.augmentation, state.generator)
            (rate, *_) = state.schedule.get_last_lr()
            losses = training_step(state, batches, phase)

            for name, loss in losses.items():
                sums[name] += loss
            count += 1
            now = time.monotonic()
            state.seconds, clock = state.seconds + now - clock, now
            display.advance(state.step)
            end_of_phase = within + 1 == phase.steps
            if state.step % LOG_EVERY == 0 or end_of_phase:
                means = {name: float(total) / count for name, total in sums.items()}
                display.losses(state.step, state.seconds, number, means, float(rate))
                sums, count = defaultdict(float), 0
            due = recipe.validate_every and state.step % recipe.validate_every == 0
            if rank() == 0 and held_out and not phase.all_images and (due or end_of_phase):
                result = evaluate(state.ema, held_out, recipe.data)
                display.validation(state.step, state.seconds, result)
            out_of_time = minutes is not None and now - started >= 60 * minutes
            asked = each_rank((bool(stop) or out_of_time, now - last_save > SAVE_EVERY))
            stopping, saving = map(any, zip(*asked))
            if stopping or saving or end_of_phase:
                state.save(out, facts)
                last_save = now
            if stopping and state.step < recipe.steps:
                folders = " ".join(f"--data {folder}" for folder in data)
                display.say(
                    f"stopped at step {state.step} of {recipe.steps}; resume with: "
                    f"dsad train --resume {folders} --out {out}"
                )
                return False
    return True


def training_step(state: TrainingState, batches: Batches, phase: Phase) -> dict[str, Tensor]:
    """Draw a batch, move the weights and their average one step, and count it.

    Returns:
        The parts of the loss on this rank's share of the batch; reading them waits for the device.
    """
    recipe, share = state.recipe, phase.batch // size()
    if recipe.mine_every and state.step % recipe.mine_every == 0:
        state.mine(batches, share, phase.crop)
    batches.hard = state.hard
    crops = batches.draw(share, phase.crop)
    truth, known = truth_of(crops, recipe.data.soft_share)
    image = recipe.data.normalised(crops.image)
    if recipe.channels_last:
        image = image.contiguous(memory_format=torch.channels_last)
    views = (image, batches.blurred(image)) if state.network.two_views else (image,)
    state.network.train()
    losses = state.learner(views, truth, known)
    state.optimiser.zero_grad()
    sum(losses.values()).backward()
    if recipe.clip:
        nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip, foreach=True)
    state.optimiser.step()
    state.step += 1
    state.images += phase.batch
    state.schedule.step()
    state.averaged.update_parameters(state.network)
    return {name: loss.detach() for name, loss in losses.items()}


def check_shares(recipe: Recipe, ranks: int) -> None:
    """Every rank trains on the same share of each batch, of two images or more."""
    for number, phase in enumerate(recipe.phases):
        if phase.batch % ranks or phase.batch < 2 * ranks:
            raise UsageError(
                f"phases.{number}.batch: {phase.batch} images do not give each of {ranks} "
                f"processes the same share of 2 or more; choose a multiple of {ranks}"
            )


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that fills when SIGINT or SIGTERM arrives, so that the loop ends after the step at hand."""
    received: list[int] = []
    previous = {
        number: signal.signal(number, lambda n, _: received.append(n))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
