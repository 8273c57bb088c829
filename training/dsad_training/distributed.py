"""Processes that train as one, as ``torchrun`` starts them; a process on its own is rank 0 of 1.

torch's DistributedDataParallel averages the gradients and hands rank 0's statistics of BatchNorm to the others.
What is left to do here: seeds, stopping together, and who is first.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dsad_core.errors import UsageError

#: Keeps the seeds of ranks apart from those that people choose: 0, 1, 2 ...
SEED_STRIDE = 0x9E3779B97F4A7C15


def rank() -> int:
    """This process's number; rank 0 alone shows, validates and saves."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def seed_of(seed: int, number: int) -> int:
    """A rank's own seed; the recipe's for rank 0."""
    return (seed + number * SEED_STRIDE) % (1 << 63)


def distributed(module: nn.Module, device: torch.device) -> nn.Module:
    """The module whose gradients are averaged over all ranks; itself where there is one rank."""
    if size() == 1:
        return module
    return DistributedDataParallel(module, [device] if device.type == "cuda" else None)


def each_rank(value: Any) -> list[Any]:
    """The value of every rank, in their order; each rank has to ask."""
    values = [value] * size()
    if size() > 1:
        dist.all_gather_object(values, value)
    return values


@contextmanager
def first_before_the_others() -> Iterator[None]:
    """Rank 0 runs the block alone, then the rest do, who find what it left on disk."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and size() > 1:
        dist.barrier()


@contextmanager
def _joined(device: str) -> Iterator[None]:
    # CPU tensors travel by gloo, CUDA tensors by NCCL.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def joined_ranks(device: str):
    """The processes that torchrun started, joined for the length of the block."""
    return _joined(device) if dist.is_torchelastic_launched() else nullcontext()


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
