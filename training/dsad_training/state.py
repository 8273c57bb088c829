"""Everything about a run that changes from step to step, and how it is saved and restored."""

import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dsad_training.checkpoint import CheckpointError, save_state
from dsad_training.distillers.build import Distillation
from dsad_training.networks.build import build_network
from dsad_training.recipe import Recipe

#: The learning rate is set before every step.
OPTIMISERS = {"adamw": partial(torch.optim.AdamW, fused=True), "adagrad": torch.optim.Adagrad}


@dataclass
class TrainingState:
    """The weights in training, their running average, the optimiser, the random numbers, the counters.

    Attributes:
        network, ema: the network, and the one that holds its averaged weights and statistics.
        distillation: teacher and distiller, whose adapters the optimiser trains too; or None.
        generator: source of every random number of the data.
        step, images: how much was trained; seconds: wall clock it took, over all calls.
        changes: what was changed in the recipe while the run was on its way, and at which step.
    """

    recipe: Recipe
    network: nn.Module
    ema: nn.Module
    distillation: Distillation | None
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    changes: list[str] = field(default_factory=list)

    @classmethod
    def fresh(cls, recipe: Recipe, device: torch.device) -> "TrainingState":
        """The state before the first step; the same for the same recipe."""
        torch.manual_seed(recipe.seed)
        network = build_network(recipe.network).to(device)
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)
        # The copy comes before the distillation puts its hooks on the network.
        ema = copy.deepcopy(network).requires_grad_(False)
        distillation = Distillation(recipe.distillation, network, device) if recipe.distillation else None
        trained = [*network.parameters()]
        if distillation:
            trained += [p for p in distillation.distiller.parameters() if p.requires_grad]
        return cls(
            recipe=recipe,
            network=network,
            ema=ema,
            distillation=distillation,
            optimiser=OPTIMISERS[recipe.optimiser](trained, weight_decay=recipe.weight_decay),
            generator=torch.Generator(device).manual_seed(recipe.seed),
        )

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what :meth:`save` wrote.

        Raises:
            CheckpointError: it does not belong to this recipe's network.
        """
        try:
            self.network.load_state_dict(saved["network"])
            self.ema.load_state_dict(saved["ema"])
            if self.distillation:
                self.distillation.distiller.load_state_dict(saved["distiller"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.generator.set_state(saved["generator"])
            torch.set_rng_state(saved["torch_rng"])
            self.step, self.images, self.seconds = saved["step"], saved["images"], saved["seconds"]
            self.changes = list(saved["changes"])
        except (KeyError, ValueError, RuntimeError):
            raise CheckpointError("the saved state does not fit the recipe; start the run anew") from None

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write the state; ``facts`` say what it was trained on."""
        save_state(
            folder,
            {
                "recipe": self.recipe.model_dump_json(),
                "facts": facts,
                "network": self.network.state_dict(),
                "ema": self.ema.state_dict(),
                "distiller": self.distillation.distiller.state_dict() if self.distillation else {},
                "optimiser": self.optimiser.state_dict(),
                "generator": self.generator.get_state(),
                "torch_rng": torch.get_rng_state(),
                "step": self.step,
                "images": self.images,
                "seconds": self.seconds,
                "changes": self.changes,
            },
        )

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged weights and statistics towards the network's; faster in the first steps."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        pairs = list(zip(self.ema.state_dict().values(), self.network.state_dict().values()))
        floating = [(mine, theirs) for mine, theirs in pairs if mine.is_floating_point()]
        torch._foreach_lerp_([mine for mine, _ in floating], [theirs for _, theirs in floating], 1 - decay)
        for mine, theirs in pairs:
            if not mine.is_floating_point():
                mine.copy_(theirs)
