"""What a benchmark found, as plain data for JSON, tables and plots."""

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dsad_core.files import sha256_file
from dsad_core.metrics.latency import percentiles
from dsad_tools.bench.measure import Block, Case, quartiles, ratio_quartiles, ratios
from dsad_tools.bench.models import Model

#: Distributions whose versions decide the figures, where they are installed.
RUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx",
    "torch",
    "cuda-python",
    "MNN",
    "ncnn",
    "pnnx",
)


def model_facts(model: Model) -> dict[str, Any]:
    """What was run, by its hashes."""
    manifest = model.manifest
    return {
        "name": manifest.name,
        "network": manifest.network,
        "width": manifest.width,
        "precision": manifest.precision,
        "parameters": manifest.parameters,
        "cost_gmac": manifest.cost_gmac,
        "sha256": manifest.sha256,
        "weights_sha256": None if model.checkpoint is None else sha256_file(model.checkpoint),
        "note": model.note,
    }


def runtime_versions() -> dict[str, str]:
    """Versions of the runtimes that are installed."""
    found = {}
    for name in RUNTIMES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def results(block: Block) -> list[dict[str, Any]]:
    """One entry for each case, also for one that does not run: then ``reason`` says why."""
    height, width = block.size
    found = []
    for case in block.cases:
        runtime = case.runtime
        entry = {
            "network": case.manifest.name,
            "width": width,
            "height": height,
            "threads": block.threads,
            "contender": runtime.name,
            "ours": runtime.ours,
        }
        if not case.runs:
            found.append(entry | {"reason": case.failure or "interrupted before its first turn"})
            continue
        baseline, spans = block.baseline(case.model) or case, percentiles(case.durations)
        bound = block.bounds.get(case.model)
        found.append(
            entry
            | {
                "runtime": case.description,
                "sha256": case.sha256,
                "baseline": case is baseline,
                "ratio": ratios(baseline.durations, case.durations),
                "ratio_quartiles": ratio_quartiles(baseline.durations, case.durations),
                "milliseconds": spans and spans.to_dict(),
                "quartiles": [span / 1e6 for span in quartiles(list(map(float, case.durations)))],
                "bound_ms": bound,
                "over_bound": spans.p50 / bound if spans and bound else None,
                "agreement": case.agreement and asdict(case.agreement),
                "cold_start": case.cold and asdict(case.cold),
                "cold_failure": case.cold_failure,
            }
        )
    return found


def speedups(block: Block) -> list[dict[str, Any]]:
    """For each runtime how many times faster the narrowest network of the family runs than the widest."""
    widths = {case.model: case.manifest.width for case in block.cases}
    if None in widths.values() or len(set(widths.values())) < 2:
        return []
    teacher, student = (
        max(widths, key=lambda model: widths[model] or 0),
        min(widths, key=lambda model: widths[model] or 0),
    )
    height, width = block.size
    pairs = zip(block.of(teacher), block.of(student))
    return [
        {
            "teacher": slow.manifest.name,
            "student": fast.manifest.name,
            "network": slow.manifest.network,
            "widths": [widths[teacher], widths[student]],
            "width": width,
            "height": height,
            "threads": block.threads,
            "contender": slow.runtime.name,
            "milliseconds": [_median(slow), _median(fast)],
            "speedup": ratios(slow.durations, fast.durations),
        }
        for slow, fast in pairs
        if slow.runs and fast.runs
    ]


def _median(case: Case) -> float:
    return spans.p50 if (spans := percentiles(case.durations)) else float("nan")
