"""What an engine scores on the test split when the runtime runs it."""

from dsad_core.detector import Detector
from dsad_core.engines.manifest import TestResult
from dsad_core.engines.protocol import Engine
from dsad_core.frame.geometry import padded_size
from dsad_tools.data.dataset import SirstDataset
from dsad_tools.evaluate import evaluate

COUNTS = ("hits", "predictions", "false_targets", "false_pixels", "intersection", "union", "pixels")


def takes(engine: Engine, source: SirstDataset) -> bool:
    """Whether the engine takes frames of every size that the data set has."""
    manifest = engine.manifest
    return manifest.size is None or all(
        padded_size(sample.image.shape[0], sample.image.shape[1], manifest.size_multiple) == manifest.size
        for sample in source
    )


def score(engine: Engine, source: SirstDataset, seed: int) -> TestResult:
    """Evaluate an engine on a labelled data set.

    Args:
        seed: of the training, for the record.
    """
    run = evaluate(Detector(engine), source, "nearest")
    result = run.result
    return TestResult(
        data_set=source.name,
        split=source.split,
        split_hash=source.split_hash,
        threshold=run.facts.threshold,
        matching=result.matching,
        images=result.frames,
        targets=result.targets,
        iou=result.iou,
        niou=result.niou,
        pd=result.pd,
        fa=result.fa,
        counts={key: getattr(result, key) for key in COUNTS},
        seed=seed,
    )
