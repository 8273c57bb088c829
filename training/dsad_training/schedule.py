"""How the learning rate and the average of the weights go from step to step."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dsad_training.recipe import Phase, Recipe

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "adagrad": torch.optim.Adagrad,
}


def optimiser_of(recipe: Recipe, parameters: list[nn.Parameter]) -> Optimizer:
    """Biases and the scales of BatchNorm are not pulled towards 0. The rate comes from :func:`schedule_of`."""
    matrices, others = ([p for p in parameters if (p.ndim > 1) == wanted] for wanted in (True, False))
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return OPTIMISERS[recipe.optimiser](groups, lr=1.0)


def schedule_of(recipe: Recipe, optimiser: Optimizer, step: int = 0) -> LambdaLR:
    """Sets the rate of the recipe's ``step``-th step now and of the next one whenever it is stepped."""
    for group in optimiser.param_groups:
        group["initial_lr"] = 1.0

    def rate(number: int) -> float:
        phase, within = recipe.phase_at(min(number, recipe.steps - 1))
        return learning_rate(recipe.phases[phase], within)

    return LambdaLR(optimiser, rate, last_epoch=step - 1)


def learning_rate(phase: Phase, within: int) -> float:
    """Linear rise over the warm-up, then ``lr``, or a half cosine or a line from ``lr`` to ``final_lr``."""
    if within < phase.warm_up:
        return phase.lr * (within + 1) / phase.warm_up
    if phase.schedule == "constant":
        return phase.lr
    progress = (within - phase.warm_up) / max(1, phase.steps - phase.warm_up)
    left = 1 - progress if phase.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return phase.final_lr + (phase.lr - phase.final_lr) * left


def decay_at(decay: float, step: int) -> float:
    """Decay of the averaged weights at the ``step``-th step, counted from 1: they follow faster at first."""
    return min(decay, (1 + step) / (10 + step))


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of the network that holds the running average of its weights and statistics."""

    def update(mine: Any, theirs: Any, count: Any) -> None:
        # The model's own counter: `count` lies on the device, which reading it would wait for.
        get_ema_multi_avg_fn(decay_at(decay, int(model.n_averaged) + 1))(mine, theirs, count)

    model = AveragedModel(network, multi_avg_fn=update, use_buffers=True).requires_grad_(False)
    return model
