"""The training loop: one function to read from top to bottom."""

import copy
import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from dsad_core.data.dataset import SirstDataset
from dsad_training.checkpoint import load_state, save_state, save_weights
from dsad_training.data.batches import Batches
from dsad_training.data.packed import PackedSet, pack
from dsad_training.evaluate import evaluate
from dsad_training.losses import task_loss
from dsad_training.networks import build_network
from dsad_training.recipe import Phase, Recipe, build_recipe

LOG_FILE = "log.jsonl"
SAVE_EVERY_S = 180.0
LOG_EVERY = 50


def train(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    minutes: float | None = None,
    resume: bool = False,
    overrides: list[str] = (),
) -> bool:
    """Run a recipe on a data set's training split; weights and log go to ``out``.

    Args:
        minutes: wall-clock budget of this call; when it is spent the run stops cleanly and can be resumed.
        resume: go on from the state in ``out`` with the recipe it was started with (``recipe`` is ignored).
        overrides: ``key=value`` changes to the recipe of a resumed run.

    Returns:
        Whether the last step was reached.
    """
    out, console = Path(out), Console(soft_wrap=True)
    out.mkdir(parents=True, exist_ok=True)
    state = load_state(out) if resume else None
    if state:
        recipe = build_recipe(json.loads(state["recipe"]), overrides, origin=str(out))

    source = SirstDataset(data, "train")
    everything = pack((sample.name, sample.image, sample.mask) for sample in source)
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(recipe.seed)).tolist()
    held_out = everything.subset(sorted(order[: recipe.data.validation])) if recipe.data.validation else None
    kept = everything.subset(sorted(order[recipe.data.validation :]))

    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    network = build_network(recipe.network)
    if recipe.channels_last:
        network = network.to(memory_format=torch.channels_last)
    ema = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=recipe.weight_decay, fused=True)
    step, seconds, images = 0, 0.0, 0
    if state:
        network.load_state_dict(state["network"])
        ema.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])
        step, seconds, images = state["step"], state["seconds"], state["images"]

    def save() -> None:
        save_state(
            out,
            {
                "recipe": recipe.model_dump_json(),
                "step": step,
                "seconds": seconds,
                "images": images,
                "network": network.state_dict(),
                "ema": ema.state_dict(),
                "optimiser": optimiser.state_dict(),
                "generator": generator.get_state(),
                "torch_rng": torch.get_rng_state(),
            },
        )
        facts = {
            "data": source.name,
            "split_hash": source.split_hash,
            "step": step,
            "images": images,
            "seconds": round(seconds),
            "finished": step == recipe.steps,
        }
        save_weights(out, ema.state_dict(), recipe, facts)

    def log(**record) -> None:
        with (out / LOG_FILE).open("a") as stream:
            stream.write(json.dumps({"step": step, "seconds": round(seconds, 1), **record}) + "\n")
        shown = " ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in record.items())
        console.print(f"step {step}/{recipe.steps} {seconds / 60:.1f} min {shown}")

    started = saved = clock = time.monotonic()
    current, losses = None, []
    with stop_requests() as stop:
        while step < recipe.steps:
            number, within = recipe.phase_at(step)
            phase = recipe.phases[number]
            if number != current:
                current = number
                batches = Batches(
                    everything if phase.all_images else kept, recipe.data.augmentation, generator
                )
            rate = learning_rate(phase, within)
            for group in optimiser.param_groups:
                group["lr"] = rate

            image, truth = batches.draw(phase.batch, phase.crop)
            image = (image - recipe.data.mean) / recipe.data.std
            if recipe.channels_last:
                image = image.contiguous(memory_format=torch.channels_last)
            network.train()
            with torch.autocast(image.device.type, torch.bfloat16, enabled=recipe.bf16):
                outputs = network(image)
            loss = task_loss(outputs, truth, recipe.bce)
            optimiser.zero_grad()
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimiser.step()
            step += 1
            images += phase.batch
            average(ema, network, min(recipe.ema, (1 + step) / (10 + step)))
            losses.append(loss.item())

            now = time.monotonic()
            seconds, clock = seconds + now - clock, now
            end_of_phase = within + 1 == phase.steps
            if step % LOG_EVERY == 0 or end_of_phase:
                log(phase=number, loss=sum(losses) / len(losses), lr=rate)
                losses = []
            due = recipe.validate_every and step % recipe.validate_every == 0
            if held_out and not phase.all_images and (due or end_of_phase):
                result = evaluate(ema, held_out, recipe.data.mean, recipe.data.std)
                log(validation=asdict(result))
            out_of_time = minutes is not None and now - started >= 60 * minutes
            if stop or out_of_time or end_of_phase or now - saved > SAVE_EVERY_S:
                save()
                saved = now
            if stop or out_of_time:
                console.print(f"stopped at step {step}; resume with: dsad train --resume {out}")
                break
    return step == recipe.steps


def learning_rate(phase: Phase, within: int) -> float:
    """Linear rise over the warm-up, then a half cosine from ``lr`` to ``final_lr``."""
    if within < phase.warm_up:
        return phase.lr * (within + 1) / phase.warm_up
    progress = (within - phase.warm_up) / max(1, phase.steps - phase.warm_up)
    return phase.final_lr + (phase.lr - phase.final_lr) * (1 + math.cos(math.pi * progress)) / 2


@torch.no_grad()
def average(ema: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights and statistics towards the network's by ``1 - decay``."""
    mine, theirs = ema.state_dict().values(), network.state_dict().values()
    floating = [(a, b) for a, b in zip(mine, theirs) if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floating], [b for _, b in floating], 1 - decay)
    for a, b in zip(mine, theirs):
        if not a.is_floating_point():
            a.copy_(b)


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
