"""Whether an engine on its platform answers as the network does: four small frames, compared with a CPU.

A plan computes in other kernels, and often in another precision, than the network was scored in. So once
it is built, it and a reference on the CPU answer the same frames, and their logits and masks are compared.
The frames lie beside this file; ``dsad_tools.self_test_frames`` made them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from dsad_core.detector import Detector
from dsad_core.engines import progress
from dsad_core.engines.backends import EngineRequest, open_backend
from dsad_core.engines.cache import keep_self_test, kept_self_test
from dsad_core.engines.platform import Backend, load_platform
from dsad_core.engines.protocol import Engine
from dsad_core.errors import DsadError, EngineError
from dsad_core.frame.geometry import padded_size
from dsad_core.hysteresis import logit

FRAMES_FILE = "self_test.npz"
#: What computes the reference, the first that is here and is not what is tested.
REFERENCES: tuple[Backend, ...] = ("onnxruntime", "direct")
#: By precision: share of the reference's mask pixels that may differ, and of the logits' span that the
#: largest difference may be. Measured on every engine shipped: see the test.
#: On 8-bit integers up to 5.7 % of the pixels differ, at the masks' edges, over 26 frame sizes from 96 rows to 1080.
LIMITS = {"fp32": (0.01, 0.02), "fp16": (0.03, 0.1), "bf16": (0.05, 0.2), "int8": (0.1, 0.3)}
#: Pixels that always may differ: a mask of few pixels has no share of 1 %.
SPARE_PIXELS = 4


@dataclass(frozen=True)
class SelfTest:
    """What the comparison found.

    Attributes:
        ran: False where there is no reference here; then all numbers are 0.
        passed: within the limits; True also where it did not run, which ``text`` says.
        reference: what answered, e.g. "onnxruntime 1.20.0 CPUExecutionProvider, 2 threads".
        frame_size: "WIDTHxHEIGHT" of the frames.
        mask_pixels: of the reference, over all frames.
        differing_pixels: mask pixels that are not the same.
        largest_logit_difference: over all pixels.
        logit_span: largest minus smallest logit of the reference.
        text: one line for people.
    """

    ran: bool
    passed: bool
    reference: str = ""
    frame_size: str = ""
    mask_pixels: int = 0
    differing_pixels: int = 0
    largest_logit_difference: float = 0.0
    logit_span: float = 0.0
    text: str = ""


def run_self_test(engine: Engine, size: tuple[int, int] | None = None, threads: int = 1) -> SelfTest:
    """Compare an engine with the reference; a result that was kept with its plan is taken as it is.

    Args:
        engine: as ``load_engine`` gave it.
        size: (height, width) of the frames that it is prepared for; None for the frames' own, for an engine
            that takes any size.
        threads: of the reference.

    Raises:
        EngineError: the answers differ beyond ``LIMITS``, or one of the two failed.
    """
    small = next(iter(frames())).shape
    size = engine.manifest.size or size or small
    plan = engine.plan(padded_size(*size, engine.manifest.size_multiple)) if hasattr(engine, "plan") else None
    kept = _kept(plan)
    if kept is not None:
        return kept
    reference, reason = _open_reference(engine, threads)
    if reference is None:
        return SelfTest(ran=False, passed=True, text=f"not run: {reason}")
    try:
        result = _compare(engine, reference, size)
    finally:
        reference.close()
    if not result.passed:
        raise EngineError(
            f"engine {engine.manifest.name}: self-test failed, {result.text}; "
            "take another backend, or fp32 in the platform's file, and report this"
        )
    if plan is not None:
        keep_self_test(plan, asdict(result))
    return result


@cache
def frames() -> tuple[np.ndarray, ...]:
    """The four frames, (128, 160) uint8."""
    with files("dsad_core.engines").joinpath(FRAMES_FILE).open("rb") as stream, np.load(stream) as content:
        return tuple(content["frames"])


def frames_of(size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The frames at another size (height, width): cut off, or continued by their mirror images."""
    for frame in frames():
        rows, columns = (
            np.pad(np.arange(length), (0, max(full - length, 0)), mode="symmetric")[:full]
            for length, full in zip(frame.shape, size)
        )
        yield np.ascontiguousarray(frame[np.ix_(rows, columns)])


def _compare(engine: Engine, reference: Engine, size: tuple[int, int]) -> SelfTest:
    tested, judge = Detector(engine), Detector(reference)
    level = logit(engine.manifest.mask_level)
    pixels = differing = 0
    largest, low, high = 0.0, math.inf, -math.inf
    for number, frame in enumerate(frames_of(size), start=1):
        progress.report(f"self-test of {engine.manifest.name}, frame {number} of {len(frames())}")
        found, expected = tested.logits(frame), judge.logits(frame)
        pixels += int(np.count_nonzero(expected > level))
        differing += int(np.count_nonzero((found > level) != (expected > level)))
        largest = max(largest, float(np.abs(found - expected).max()))
        low, high = min(low, float(expected.min())), max(high, float(expected.max()))
    mask_share, logit_share = LIMITS[engine.precision]
    passed = differing <= max(SPARE_PIXELS, mask_share * pixels) and largest <= logit_share * (high - low)
    return SelfTest(
        ran=True,
        passed=passed,
        reference=reference.description,
        frame_size=f"{size[1]}x{size[0]}",
        mask_pixels=pixels,
        differing_pixels=differing,
        largest_logit_difference=largest,
        logit_span=high - low,
        text=f"{differing} of {pixels} mask pixels differ from {reference.description}, the largest logit "
        f"difference is {largest:.3g} of {high - low:.3g} (limits in {engine.precision}: {mask_share:.0%} of the "
        f"mask, {logit_share:.0%} of the logits)",
    )


def _kept(plan) -> SelfTest | None:
    content = kept_self_test(plan) if plan is not None else None
    try:
        kept = SelfTest(**content) if content else None
    except TypeError:  # of another version
        return None
    return kept if kept is not None and kept.passed else None


def _open_reference(engine: Engine, threads: int) -> tuple[Engine | None, str]:
    """The first reference that is here, or None and why there is none."""
    if engine.backend == "torch":
        return None, "a checkpoint is the network itself"
    # The CPU's file leaves a float32 model in float32, whatever the engine's platform computes in.
    manifest = engine.manifest
    if manifest.float32_on_bytes:
        manifest = manifest.model_copy(update={"precision": "fp32", "program_sha256": None})
    request = EngineRequest(engine.folder, manifest, load_platform("cpu"), REFERENCES, threads)
    reasons = []
    for name in REFERENCES:
        if engine.platform == "cpu" and engine.backend == name:
            continue
        try:
            return open_backend(name, request), ""
        except (DsadError, ImportError) as error:
            reasons.append(f"{name}: {error}")
    return None, "no reference on the CPU here (" + ("; ".join(reasons) or "it is the reference itself") + ")"
