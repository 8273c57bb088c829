"""Several processes that train as one, as ``torchrun`` starts them; a process on its own is the only rank.

Every rank holds the same weights, optimiser and averaged weights. It draws its share of the batch from random
numbers of its own; after each backward pass the gradients are averaged, so that all take the same step.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dsad_core.errors import UsageError

#: Keeps the seeds of ranks apart from those that people choose: 0, 1, 2 ...
SEED_STRIDE = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Ranks:
    """This process among those of the training.

    Attributes:
        rank: its number; rank 0 alone shows, validates and saves.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """The rank's own seed; the recipe's for rank 0."""
        return (seed + self.rank * SEED_STRIDE) % (1 << 63)

    @torch.no_grad()
    def average(self, tensors: list[Tensor]) -> None:
        """Replace floating tensors of one dtype and device by their means over the ranks, in one exchange."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
            tensor.copy_(mean.view(tensor.shape))

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Those of this step; all ranks run the same graph, so the same parameters have one."""
        self.average([parameter.grad for parameter in parameters if parameter.grad is not None])

    def average_statistics(self, network: nn.Module) -> None:
        """The running means and variances of BatchNorm, which each rank moved by its own share."""
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        self.average([tensor for norm in norms for tensor in (norm.running_mean, norm.running_var)])

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set on any rank."""
        if self.size == 1:
            return list(flags)
        seen = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(seen, dist.ReduceOp.MAX)
        return seen.bool().tolist()

    def gather(self, tensor: Tensor) -> Tensor:
        """(size, ...): the CPU tensor of each rank, alike in shape."""
        if self.size == 1:
            return tensor[None]
        each = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(each, tensor)
        return torch.stack(each)

    @contextmanager
    def first_before_the_others(self) -> Iterator[None]:
        """Rank 0 runs the block alone, then the rest do, who find what it left on disk."""
        if not self.first:
            self.any()
        yield
        if self.first:
            self.any()


@contextmanager
def joined_ranks(device: str) -> Iterator[Ranks]:
    """The processes that torchrun started, joined for the length of the block.

    CPU tensors travel by gloo, CUDA tensors by NCCL.
    """
    if not dist.is_torchelastic_launched():
        yield Ranks()
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def usable_device(name: str) -> torch.device:
    """The device of that name, if this machine has it: under torchrun, a GPU for each local process."""
    if name not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not one of cpu, cuda")
    if name == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError("device cuda: this machine has no usable NVIDIA GPU, or torch is a CPU build")
    number = int(os.environ.get("LOCAL_RANK", 0))
    if number >= torch.cuda.device_count():
        raise UsageError(
            f"device cuda: process {number} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}; lower --nproc-per-node"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)
