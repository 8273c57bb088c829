"""The machine that a bench ran on, and the most that it computes: what every table of figures ends with."""

from collections.abc import Sequence
from typing import Any

from dsad_core.engines.direct.library import load_kernels
from dsad_core.errors import PlatformError
from dsad_core.machine import machine_facts, usable_cores


def bench_machine(threads: Sequence[int] = ()) -> dict[str, Any]:
    """The facts of `machine_facts`, and ``peak_gflops``: measured float32 multiply-adds, each counted as two.

    Args:
        threads: numbers of threads to measure; by default one, and all cores.

    ``peak_gflops`` has each number of threads as a string, as JSON has it. It is empty where the compiled
    kernels, which measure it, are missing.
    """
    facts: dict[str, Any] = machine_facts()
    try:
        kernels = load_kernels()
        peaks = {
            str(count): round(kernels.peak(count) / 1e9, 1)
            for count in threads or sorted({1, usable_cores()})
        }
    except PlatformError:
        peaks = {}
    return facts | {"peak_gflops": peaks}


def machine_line(facts: dict[str, Any]) -> str:
    """One line of what `bench_machine` found."""
    accelerator = f", {facts['accelerator']}" if facts["accelerator"] else ""
    peaks = [
        f"{gflops:g} on {count} thread{'s' if count != '1' else ''}"
        for count, gflops in facts["peak_gflops"].items()
    ]
    peak = (
        f"measured peak {', '.join(peaks)} GFLOP/s f32" if peaks else "peak not measured: no compiled kernels"
    )
    return (
        f"{facts['cpu']} ({' '.join(facts['cpu_flags'])}), {facts['cores']} cores, {peak}{accelerator}, "
        f"load {facts['load_average']} at the start; {facts['system']}"
    )
