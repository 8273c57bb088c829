"""What a benchmark found, as plain data for JSON, tables and plots."""

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dsad_core.files import sha256_file
from dsad_core.metrics.latency import percentiles
from dsad_tools.bench.measure import Block, Entrant, ratios
from dsad_tools.bench.subject import Subject

#: Distributions whose versions decide the figures, where they are installed.
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx", "torch", "cuda-python")


def subject_facts(subject: Subject) -> dict[str, Any]:
    """What was run, by its hashes."""
    manifest = subject.manifest
    return {
        "name": manifest.name,
        "network": manifest.network,
        "width": manifest.width,
        "precision": manifest.precision,
        "parameters": manifest.parameters,
        "cost_gmac": manifest.cost_gmac,
        "sha256": manifest.sha256,
        "weights_sha256": None if subject.checkpoint is None else sha256_file(subject.checkpoint),
        "note": subject.note,
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
    """One entry for each entrant, also for one that does not run: then ``reason`` says why."""
    height, width = block.size
    found = []
    for entrant in block.entrants:
        contender = entrant.contender
        entry = {
            "network": entrant.manifest.name,
            "width": width,
            "height": height,
            "threads": block.threads,
            "contender": contender.name,
            "ours": contender.ours,
        }
        if not entrant.runs:
            found.append(entry | {"reason": entrant.failure or "interrupted before its first turn"})
            continue
        baseline = block.baseline(entrant.subject)
        found.append(
            entry
            | {
                "runtime": entrant.runtime,
                "sha256": entrant.sha256,
                "baseline": entrant is baseline,
                "ratio": ratios(baseline.durations, entrant.durations),
                "milliseconds": percentiles(entrant.durations).to_dict(),
                "agreement": asdict(entrant.agreement),
                "cold_start": entrant.cold and asdict(entrant.cold),
                "cold_failure": entrant.cold_failure,
            }
        )
    return found


def speedups(block: Block) -> list[dict[str, Any]]:
    """For each contender how many times faster the narrowest network of the family runs than the widest."""
    widths = {entrant.subject: entrant.manifest.width for entrant in block.entrants}
    if None in widths.values() or len(set(widths.values())) < 2:
        return []
    teacher, student = max(widths, key=widths.get), min(widths, key=widths.get)
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
            "contender": slow.contender.name,
            "milliseconds": [_median(slow), _median(fast)],
            "speedup": ratios(slow.durations, fast.durations),
        }
        for slow, fast in pairs
        if slow.runs and fast.runs
    ]


def _median(entrant: Entrant) -> float:
    return percentiles(entrant.durations).p50
