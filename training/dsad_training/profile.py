"""What each network costs: parameters, multiply-accumulates, CPU time and memory."""

import multiprocessing
import resource
import statistics
import time
from dataclasses import dataclass

import torch

from dsad_training.cost import cost, parameters
from dsad_training.networks.build import build_network
from dsad_training.recipe import NetworkPart


@dataclass(frozen=True)
class Profile:
    """One network at one size.

    Attributes:
        parameters: trainable numbers; macs: in the paper's convention, three input channels.
        milliseconds: median time of one image on the CPU, torch fp32, all heads.
        peak_mib: largest memory that forward passes added to the process.
    """

    network: NetworkPart
    parameters: int
    macs: int
    milliseconds: float
    peak_mib: float


def profile(part: NetworkPart, height: int, width: int, runs: int, threads: int) -> Profile:
    """Measure in a process of its own: peak memory never falls, and would be an earlier network's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (part, height, width, runs, threads))


@torch.no_grad()
def _measure(part: NetworkPart, height: int, width: int, runs: int, threads: int) -> Profile:
    torch.set_num_threads(threads)
    network = build_network(part).eval()
    image = torch.zeros(1, 1, height, width)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network(image)
    durations = []
    for _ in range(runs):
        start = time.perf_counter()
        network(image)
        durations.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    macs = cost(network, height, width)
    return Profile(part, parameters(network), macs, 1e3 * statistics.median(durations), peak / 1024)
