"""Work on a GPU as a recorded graph of kernels: small networks wait for launches, not for arithmetic."""

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def recorded(work: Callable[[], T], say: Callable[[str], None], what: str) -> Callable[[], T]:
    """``work`` as one CUDA graph; where it cannot be recorded, ``work`` itself, and a message.

    Args:
        work: reads and writes tensors that stay where they are, and has run a few times before. Its result is the same
            tensors after every call.
    """
    try:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        # On the stream that ran it before: what autograd keeps of a parameter remembers its stream.
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            result = work()
    except Exception as error:  # what cannot be recorded raises many types; all of it can still run eagerly
        say(f"{what}: not recorded as a graph, runs kernel by kernel ({first_line(error)})")
        torch.cuda.synchronize()
        return work

    def replay() -> T:
        graph.replay()
        return result

    return replay


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
