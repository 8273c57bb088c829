"""From an engine in float32 to one on 8-bit integers, for the backend ``direct``."""

import shutil
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsad_core.detector import Detector
from dsad_core.engines.direct.calibrate import CalibratingEngine
from dsad_core.engines.direct.engine import load_graph
from dsad_core.engines.direct.program import make_program
from dsad_core.engines.direct.quantise import ranged_maps
from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import MODEL_FILE, PROGRAM_FILE, Parity, load_manifest, save_manifest
from dsad_core.errors import EngineError, UsageError
from dsad_core.files import replace_dir, sha256_file, write_atomic
from dsad_core.metrics.accumulator import DetectionAccumulator, DetectionResult
from dsad_tools.data.dataset import SirstDataset
from dsad_tools.data.sample import Sample

#: Frames that ranges are taken from, and that masks are compared on, of each data set.
CALIBRATION_FRAMES, JUDGED_FRAMES = 64, 256
#: Room above the largest values seen: other scenes reach higher, and what is cut off costs more than wider steps.
HEADROOM = 1.5


@dataclass(frozen=True)
class Loss:
    """What the integers cost on frames that they were not calibrated on; both scored at probability 0.5.

    Attributes:
        mask_pixels: that differ.
        logits: the largest difference.
    """

    float32: DetectionResult
    int8: DetectionResult
    mask_pixels: int
    logits: float

    @property
    def iou_drop(self) -> float:
        return (self.float32.iou or 0.0) - (self.int8.iou or 0.0)


def quantise_engine(
    engine: str | Path,
    data: Sequence[Path],
    out: Path | None = None,
    max_iou_drop: float = 0.003,
    held_out: Collection[str] | None = None,
) -> tuple[Path, Loss]:
    """Write ``<engine>-int8`` beside the engine, or below ``out``; return its folder and what it costs.

    The model stays float32; ``model.direct`` holds the range of each channel.

    Args:
        data: sets of which frames of the training split calibrate, and others judge.
        max_iou_drop: over all frames that judge, at probability 0.5.
        held_out: names of the frames that judge, all of them; None for every second one.

    Raises:
        EngineError: the masks lose more IoU than allowed; nothing is written then, and what was there stays.
        UnsupportedModelError: the kernels take the model, or this CPU, only in float32.
        DataError, UsageError: the data cannot be read; the engine is not one in float32.
    """
    source = find_engine(engine)
    manifest = load_manifest(source)
    if manifest.precision != "fp32":
        raise UsageError(f"engine {manifest.name} computes in {manifest.precision}; give the one in fp32")
    sets = [SirstDataset(folder, "train") for folder in data]
    shares = [_shares(each, held_out) for each in sets]
    calibrating = CalibratingEngine(source, manifest, ranged_maps(load_graph(source, manifest)))
    with closing(calibrating):
        detector = Detector(calibrating)
        for each, (places, _) in zip(sets, shares):
            for place in places:
                detector.logits(each[place].image)
    ranges = {name: np.float32(HEADROOM) * most for name, most in calibrating.ranges.items()}
    name = f"{manifest.name}-int8"
    target = (Path(out) if out else source.parent) / name
    with replace_dir(target) as folder:
        shutil.copyfile(source / MODEL_FILE, folder / MODEL_FILE)
        write_atomic(folder / PROGRAM_FILE, make_program(folder / MODEL_FILE, ranges))
        changes: dict[str, object] = {
            "name": name,
            "precision": "int8",
            "program_sha256": sha256_file(folder / PROGRAM_FILE),
            # Those are the float32 engine's figures.
            "parity": None,
            "test_results": [],
            "threshold_choice": None,
        }
        manifest = manifest.model_copy(update=changes)
        save_manifest(folder, manifest)
        judged = (each[place] for each, (_, places) in zip(sets, shares) for place in places)
        loss, backend = _compare(source, folder, judged)
        if loss.iou_drop > max_iou_drop:
            raise EngineError(
                f"{name} loses {loss.iou_drop:.4f} of IoU on {loss.int8.frames} frames, {max_iou_drop} is allowed; "
                "nothing was written; fine-tune the network, or allow more loss"
            )
        parity = Parity(
            data=f"{' + '.join(each.name for each in sets)} train",
            images=loss.int8.frames,
            mask_pixels=loss.mask_pixels,
            largest_logit_difference=float(f"{loss.logits:.2g}"),
            iou_change=-loss.iou_drop,
            pd_change=(loss.int8.pd or 0.0) - (loss.float32.pd or 0.0),
            fa_change=(loss.int8.fa or 0.0) - (loss.float32.fa or 0.0),
            backend=backend,
        )
        save_manifest(folder, manifest.model_copy(update={"parity": parity}))
    return target, loss


def _compare(float32: Path, int8: Path, samples: Iterable[Sample]) -> tuple[Loss, str]:
    """The two engines on the same frames, and what ran the second."""
    counts = DetectionAccumulator("nearest"), DetectionAccumulator("nearest")
    pixels, difference = 0, 0.0
    with (
        closing(load_engine(float32, "cpu", 1, "direct")) as first,
        closing(load_engine(int8, "cpu", 1, "direct")) as second,
    ):
        detectors = Detector(first), Detector(second)
        for sample in samples:
            reference, logits = (detector.logits(sample.image).copy() for detector in detectors)
            pixels += int(((logits > 0) != (reference > 0)).sum())
            difference = max(difference, float(abs(logits - reference).max()))
            for each, answer in zip(counts, (reference, logits)):
                each.update(answer > 0, sample.mask)
        return Loss(counts[0].result(), counts[1].result(), pixels, difference), second.description


def _shares(source: SirstDataset, held_out: Collection[str] | None) -> tuple[list[int], list[int]]:
    """Places of the frames that calibrate, and of those that judge."""
    if held_out is None:
        odd, even = range(1, len(source), 2), range(0, len(source), 2)
        return _spread(even, CALIBRATION_FRAMES), _spread(odd or even, JUDGED_FRAMES)
    judging = [place for place, name in enumerate(source.ids) if name in held_out]
    others = [place for place, name in enumerate(source.ids) if name not in held_out]
    if not judging or not others:
        raise UsageError(f"{source.folder}: of its {len(source)} training frames {len(judging)} are held out")
    return _spread(others, CALIBRATION_FRAMES), judging


def _spread(places: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the places, evenly over all of them."""
    count = min(count, len(places))
    return [places[number * len(places) // count] for number in range(count)]
