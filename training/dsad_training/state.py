"""Everything about a run that changes from step to step, and how it is saved and restored."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from dsad_core.files import sha256_file
from dsad_training.checkpoint import CheckpointError, load_weights, save_state, save_weights, weights_path
from dsad_training.data.batches import Batches
from dsad_training.data.mining import mined, remembered
from dsad_training.distillers.build import Distillation
from dsad_training.distributed import distributed, each_rank, rank, seed_of, size
from dsad_training.learner import Learner
from dsad_training.native import use_kernels
from dsad_training.networks.build import build_network
from dsad_training.networks.layout import convolve_in_channels_last
from dsad_training.networks.network import Network
from dsad_training.recipe import Recipe
from dsad_training.schedule import averaged, optimiser_of, schedule_of


@dataclass
class TrainingState:
    """The weights in training, their running average, the optimiser, the random numbers, the counters.

    Attributes:
        network: in training; averaged: holds the average of its weights and statistics, see ``ema``.
        distillation: teacher and distiller, whose adapters the optimiser trains too; or None.
        learner: network and distiller as the step runs them, over all processes that train together. These
            hold the same weights; random numbers, and on a CPU the statistics of BatchNorm, are each one's own.
        schedule: of the learning rate.
        generator: source of every random number of this rank's data.
        hard: (h,3) image index and y, x of places where the averaged network alarmed falsely.
        step, images: how much was trained; seconds: wall clock it took, over all calls.
        changes: what was changed in the recipe while the run was on its way, and at which step.
    """

    recipe: Recipe
    network: Network
    averaged: AveragedModel
    distillation: Distillation | None
    learner: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: LambdaLR
    generator: torch.Generator
    hard: Tensor
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    changes: list[str] = field(default_factory=list)

    @classmethod
    def fresh(cls, recipe: Recipe, device: torch.device) -> "TrainingState":
        """The state before the first step; the same for the same recipe and number of processes."""
        torch.manual_seed(recipe.seed)
        network = build_network(recipe.network).to(device)
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # The copy comes before the distillation puts its hooks on the network.
        average = averaged(network, recipe.ema)
        if device.type == "cuda" and size() > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # torch has none for CPUs
        distillation = Distillation(recipe.distillation, network, device) if recipe.distillation else None
        learner = Learner(network, distillation, recipe)
        trained = [parameter for parameter in learner.parameters() if parameter.requires_grad]
        optimiser = optimiser_of(recipe, trained)
        if distillation:
            distillation.check_normalisation(recipe.data)
        if device.type == "cpu":
            taken: list[nn.Module] = []
            if recipe.kernels and not recipe.bf16 and not recipe.compile:
                taken = use_kernels(network)
                use_kernels(average.module)
                if distillation:
                    use_kernels(distillation.distiller)
                    use_kernels(distillation.teacher)
            if recipe.channels_last:
                convolve_in_channels_last(network, spared=taken)
        if recipe.compile:
            network.compile()  # in place: its parameters keep their names
        # All ranks start from the same weights and draw different numbers from here on.
        own_seed = seed_of(recipe.seed, rank())
        if rank() > 0:
            torch.manual_seed(own_seed)
        return cls(
            recipe=recipe,
            network=network,
            averaged=average,
            distillation=distillation,
            learner=distributed(learner, device),
            optimiser=optimiser,
            schedule=schedule_of(recipe, optimiser),
            generator=torch.Generator(device).manual_seed(own_seed),
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
    def ema(self) -> Network:
        """The network that holds the averaged weights and statistics."""
        return cast(Network, self.averaged.module)

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what :meth:`save` wrote.

        Raises:
            CheckpointError: it does not belong to this recipe's network or to another number of ranks.
        """
        try:
            if (ranks := len(saved["random"])) != size():
                raise CheckpointError(
                    f"the run was trained by {ranks} process{'es' * (ranks > 1)}; it can "
                    f"go on with as many, not with {size()}"
                )
            mine = saved["random"][rank()]
            self.network.load_state_dict(saved["network"])
            self.averaged.load_state_dict(saved["averaged"])
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
            self.schedule = schedule_of(self.recipe, self.optimiser, self.step)
        except (KeyError, ValueError, RuntimeError):
            raise CheckpointError("the saved state does not fit the recipe; start the run anew") from None

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write the state and the averaged weights; every rank calls it at the same step, rank 0 writes.

        Args:
            facts: what it was trained on.
        """
        random = each_rank(self._random())
        if rank() > 0:
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
                "averaged": self.averaged.state_dict(),
                "distiller": self.distillation.distiller.state_dict() if self.distillation else {},
                "optimiser": self.optimiser.state_dict(),
                "hard": self.hard,
                "random": random,
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
