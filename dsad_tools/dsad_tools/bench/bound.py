"""What a machine's arithmetic allows: the time of a network whose convolutions are summed directly."""

from dsad_core.engines.direct.engine import load_graph
from dsad_core.engines.direct.plan import Plan
from dsad_core.errors import UnsupportedModelError
from dsad_core.frame.geometry import padded_size
from dsad_tools.bench.models import Model


def multiplications(model: Model, size: tuple[int, int]) -> int | None:
    """Multiply-adds of one frame of ``size`` (height, width), padding included.

    None for a network that the direct kernels cannot run, because they count them.
    """
    try:
        graph = load_graph(model.engine, model.manifest)
        return Plan(graph, *padded_size(*size, model.manifest.size_multiple), lanes=16).multiplications
    except UnsupportedModelError:
        return None


def bound_ms(multiplications: int | None, peak_gflops: float | None) -> float | None:
    """Milliseconds that they take at the measured peak, a multiply-add being two operations; None if unknown.

    A runtime that multiplies less, by Winograd's algorithm, can fall below it.
    """
    return 2e-6 * multiplications / peak_gflops if multiplications and peak_gflops else None
