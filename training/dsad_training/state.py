"""Everything about a run that changes from step to step, and how it is saved and restored."""

import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dsad_core.files import sha256_file
from dsad_training.checkpoint import CheckpointError, load_weights, save_state, save_weights, weights_path
from dsad_training.data.batches import Batches
from dsad_training.data.mining import mined, remembered
from dsad_training.distillers.build import Distillation
from dsad_training.distributed import Ranks
from dsad_training.networks.build import build_network
from dsad_training.networks.layout import convolve_in_channels_last
from dsad_training.recipe import Recipe

#: The learning rate is set before every step.
OPTIMISERS = {"adamw": partial(torch.optim.AdamW, fused=True), "adagrad": torch.optim.Adagrad}


def decayed(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimiser: biases and the scales of BatchNorm are not pulled towards 0."""
    matrices, others = ([p for p in parameters if (p.ndim > 1) == wanted] for wanted in (True, False))
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


@dataclass
class TrainingState:
    """The weights in training, their running average, the optimiser, the random numbers, the counters.

    Attributes:
        ranks: the processes that train together; all hold the same state but for the random numbers.
        network, ema: the network, and the one that holds its averaged weights and statistics.
        distillation: teacher and distiller, whose adapters the optimiser trains too; or None.
        generator: source of every random number of this rank's data.
        hard: (h,3) image index and y, x of places where the averaged network alarmed falsely.
        step, images: how much was trained; seconds: wall clock it took, over all calls.
        changes: what was changed in the recipe while the run was on its way, and at which step.
    """

    recipe: Recipe
    ranks: Ranks
    network: nn.Module
    ema: nn.Module
    distillation: Distillation | None
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    hard: Tensor
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    changes: list[str] = field(default_factory=list)

    @classmethod
    def fresh(cls, recipe: Recipe, device: torch.device, ranks: Ranks = Ranks()) -> "TrainingState":
        """The state before the first step; the same for the same recipe and number of ranks."""
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
        if recipe.channels_last and device.type == "cpu":
            convolve_in_channels_last(network)
        if recipe.compile:
            network.compile()  # in place: its parameters keep their names
        # All ranks start from the same weights and draw different numbers from here on.
        if not ranks.first:
            torch.manual_seed(ranks.seed(recipe.seed))
        return cls(
            recipe=recipe,
            ranks=ranks,
            network=network,
            ema=ema,
            distillation=distillation,
            optimiser=OPTIMISERS[recipe.optimiser](decayed(trained, recipe.weight_decay)),
            generator=torch.Generator(device).manual_seed(ranks.seed(recipe.seed)),
            hard=torch.zeros(0, 3, dtype=torch.int64, device=device),
        )

    def start_from(self, path: str | Path) -> str:
        """Take over another run's averaged weights and statistics; returns the SHA-256 of their file.

        Where the two networks differ in their spatial attention, that alone stays as it was initialised.

        Raises:
            CheckpointError: they cannot be read or are those of another network.
        """
        other, recipe, _ = load_weights(path)
        same_attention = recipe.network.spatial == self.recipe.network.spatial
        taken = {
            name: weight
            for name, weight in other.state_dict().items()
            if same_attention or ".spatial." not in name
        }
        own = {
            name: weight
            for name, weight in self.network.state_dict().items()
            if not same_attention and ".spatial." in name
        }
        try:
            for network in (self.network, self.ema):
                network.load_state_dict(own | taken)
        except RuntimeError:
            raise CheckpointError(f"{path}: the weights of another network than the recipe's") from None
        return sha256_file(weights_path(path))

    @property
    def trained(self) -> list[nn.Parameter]:
        """All that the optimiser moves."""
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what :meth:`save` wrote.

        Raises:
            CheckpointError: it does not belong to this recipe's network or to another number of ranks.
        """
        try:
            # One row for each rank; states older than ranks hold the row itself.
            random = {name: torch.atleast_2d(saved[name]) for name in self._random()}
            if (ranks := len(random["generator"])) != self.ranks.size:
                raise CheckpointError(
                    f"the run was trained by {ranks} process{'es' * (ranks > 1)}; it can "
                    f"go on with as many, not with {self.ranks.size}"
                )
            mine = {name: rows[self.ranks.rank].clone() for name, rows in random.items()}
            self.network.load_state_dict(saved["network"])
            self.ema.load_state_dict(saved["ema"])
            if self.distillation:
                self.distillation.distiller.load_state_dict(saved["distiller"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.generator.set_state(mine["generator"])
            torch.set_rng_state(mine["torch_rng"])
            if "cuda_rng" in mine:
                torch.cuda.set_rng_state(mine["cuda_rng"], self.generator.device)
            self.hard = saved["hard"].to(self.hard.device)
            self.step, self.images, self.seconds = saved["step"], saved["images"], saved["seconds"]
            self.changes = list(saved["changes"])
        except (KeyError, ValueError, RuntimeError):
            raise CheckpointError("the saved state does not fit the recipe; start the run anew") from None

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write the state and the averaged weights; every rank calls it at the same step, rank 0 writes.

        Args:
            facts: what it was trained on.
        """
        random = {name: self.ranks.gather(stream) for name, stream in self._random().items()}
        if not self.ranks.first:
            return
        folder.mkdir(parents=True, exist_ok=True)
        progress = {
            "step": self.step,
            "images": self.images,
            "seconds": self.seconds,
            "changes": self.changes,
        }
        save_state(
            folder,
            {
                "recipe": self.recipe.model_dump_json(),
                "facts": facts,
                "network": self.network.state_dict(),
                "ema": self.ema.state_dict(),
                "distiller": self.distillation.distiller.state_dict() if self.distillation else {},
                "optimiser": self.optimiser.state_dict(),
                "hard": self.hard,
                **random,
                **progress,
            },
        )
        shown = {**facts, **progress, "seconds": round(self.seconds)}
        save_weights(folder, self.ema.state_dict(), self.recipe, shown)

    def _random(self) -> dict[str, Tensor]:
        """States of this rank's random numbers: of the data, of torch's own, and of its CUDA device's own."""
        streams = {"generator": self.generator.get_state(), "torch_rng": torch.get_rng_state()}
        if self.generator.device.type == "cuda":
            streams["cuda_rng"] = torch.cuda.get_rng_state(self.generator.device)
        return streams

    def mine(self, batches: Batches, count: int, side: int) -> None:
        """Look for false alarms of the averaged network in ``count`` crops and remember them."""
        new = mined(self.ema.eval(), batches, count, side, self.recipe.data, self.recipe.bf16)
        self.hard = remembered(self.hard, new)

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
