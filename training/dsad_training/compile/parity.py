"""The gate that no engine passes unless it answers as the trained network does."""

import math
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import Parity, Precision
from dsad_core.engines.platform import load_platform
from dsad_core.engines.protocol import Engine
from dsad_core.errors import EngineError, PlatformError, UnsupportedModelError
from dsad_core.metrics.accumulator import DetectionAccumulator
from dsad_training.compile.scenes import Scene

#: Logit difference that float32 rounding explains; above it is another network. Torch and another runtime
#: differ on DNANet num4 by up to 3e-4 at 256x256 and 4e-3 at 640x512, where torch in float32 and in float64
#: differ by 1e-3.
TOLERANCE = 1e-2


@dataclass(frozen=True)
class ParityLimits:
    """What an engine of reduced precision may lose against the network, on the scenes of the gate.

    Attributes:
        iou, pd: largest drop.
        fa: largest rise; a plain ratio, not in 1e-5.
    """

    iou: float = 0.01
    pd: float = 0.01
    fa: float = 1e-5


@dataclass(frozen=True)
class Runner:
    """An engine that is open, and how it was opened.

    Attributes:
        precision: what it really computes in.
        description: what runs it.
    """

    engine: Engine
    precision: Precision
    description: str


@contextmanager
def open_runner(folder: Path, target: str) -> Iterator[Runner]:
    """An engine on its target, or, where this machine is none, on the CPU by onnxruntime.

    Raises:
        UnsupportedModelError: the target runs here, but nothing that is here takes the model.
    """
    try:
        engine = load_engine(folder, target)
        # An fp32 model is computed in what the target's file says.
        precision = load_platform(target).precision
        description = engine.description
    except UnsupportedModelError:
        raise
    except PlatformError:
        engine = load_engine(folder, "cpu", backend="onnxruntime")
        precision = "fp32"
        description = f"{engine.description} in place of {target}"
    with closing(engine):
        own = engine.manifest.precision
        yield Runner(engine, precision if own == "fp32" else own, description)


@torch.inference_mode()
def measure(network: nn.Module, runner: Runner, scenes: Iterable[Scene], data: str) -> Parity:
    """Compare an engine with the trained network (in eval mode) scene by scene.

    Args:
        data: what the scenes are, for the record.
    """
    ours, theirs = DetectionAccumulator("nearest"), DetectionAccumulator("nearest")
    difference, pixels = 0.0, 0
    for scene in scenes:
        reference = network(torch.from_numpy(scene.tensor))[-1][0, 0].numpy()
        logits = runner.engine.infer(scene.tensor)
        # max() would pass over a NaN.
        difference = max(difference, float(np.nan_to_num(np.abs(logits - reference), nan=np.inf).max()))
        pixels += int(((logits > 0) != (reference > 0)).sum())
        height, width = scene.mask.shape
        ours.update(logits[:height, :width] > 0, scene.mask)
        theirs.update(reference[:height, :width] > 0, scene.mask)
    engine_result, network_result = ours.result(), theirs.result()

    def change(key: str) -> float:
        return (getattr(engine_result, key) or 0.0) - (getattr(network_result, key) or 0.0)

    return Parity(
        data=data,
        images=engine_result.frames,
        mask_pixels=pixels,
        largest_logit_difference=float(f"{difference:.2g}"),
        iou_change=change("iou"),
        pd_change=change("pd"),
        fa_change=change("fa"),
        backend=runner.description,
    )


def describe(parity: Parity) -> str:
    """The figures in one line."""
    return (
        f"{parity.images} images of {parity.data}: IoU {parity.iou_change:+.4f}, Pd {parity.pd_change:+.4f}, "
        f"Fa {parity.fa_change * 1e5:+.3f}e-5, {parity.mask_pixels} mask pixels differ, "
        f"logits by up to {parity.largest_logit_difference:.2g}; {parity.backend}"
    )


def check(name: str, parity: Parity, precision: Precision, limits: ParityLimits) -> None:
    """Let an engine pass.

    Raises:
        EngineError: fp32 whose masks or logits differ, or a reduced precision beyond its limits.
    """
    if precision == "fp32":
        exact = parity.mask_pixels == 0 and parity.largest_logit_difference <= TOLERANCE
        faults = [] if exact else ["float32 rounding does not explain that"]
        way_out = "it is a defect of the compilation or of what ran it"
    else:
        faults = [
            f"{what} {change:+.4g} is beyond the limit of {limit:+.4g}"
            for what, change, limit, beyond in (
                ("IoU", parity.iou_change, -limits.iou, parity.iou_change < -limits.iou),
                ("Pd", parity.pd_change, -limits.pd, parity.pd_change < -limits.pd),
                ("Fa", parity.fa_change, limits.fa, parity.fa_change > limits.fa),
            )
            if beyond
        ]
        if not math.isfinite(parity.largest_logit_difference):
            faults.append("logits are not finite")
        way_out = "take another precision or allow more loss"
    if faults:
        raise EngineError(
            f"{name} differs from the network on {describe(parity)}: {', '.join(faults)}; "
            f"nothing was written; {way_out}"
        )
