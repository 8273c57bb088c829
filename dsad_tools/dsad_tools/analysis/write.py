"""A study as files: figures, and the numbers behind them."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from dsad_core.files import write_atomic
from dsad_core.machine import machine_facts
from dsad_tools.analysis.canvas import png
from dsad_tools.analysis.failures import contact_sheet, ranking
from dsad_tools.analysis.figures import froc, roc, thresholds
from dsad_tools.analysis.grid import grid
from dsad_tools.analysis.offsets import offsets
from dsad_tools.analysis.study import EngineStudy, Study
from dsad_tools.analysis.surfaces import surfaces

FIGURES: dict[str, Callable[[Study], Figure]] = {
    "roc.png": roc,
    "froc.png": froc,
    "thresholds.png": thresholds,
    "grid.png": grid,
    "surfaces.png": surfaces,
    "failures.png": contact_sheet,
    "offsets.png": offsets,
}


def write_study(folder: str | Path, study: Study) -> list[Path]:
    """Write ``sweep.json``, ``failures.json`` and the figures into a folder, which is made if it is missing.

    Each file is written aside and renamed: a reader sees the last one or this one.
    """
    folder = Path(folder)
    sweeps = [_sweep(one) for one in study.engines]
    rankings = [{**_identity(one), "ranking": ranking(one)} for one in study.engines]
    numbers = {
        "sweep.json": _document(study, machine=machine_facts(), engines=sweeps),
        "failures.json": _document(study, engines=rankings),
    }
    for name, content in numbers.items():
        write_atomic(folder / name, json.dumps(content, indent=1, allow_nan=False) + "\n")
    for name, draw in FIGURES.items():
        write_atomic(folder / name, png(draw(study)))
    return [folder / name for name in (*numbers, *FIGURES)]


def _document(study: Study, **more) -> dict:
    return {
        "source": study.source,
        "split": study.split,
        "split_hash": study.split_hash,
        "matching": study.matching,
        "frames": study.frames,
        "frames_unlabelled": study.unlabelled,
        "images": [view.name for view in study.views],
        "notes": study.notes,
        **more,
    }


def _identity(one: EngineStudy) -> dict:
    manifest = one.engine.manifest
    return {
        "label": one.label,
        "engine": manifest.name,
        "engine_sha256": manifest.sha256,
        "target": one.engine.platform,
        "runtime": one.engine.description,
        "threshold": one.threshold,
    }


def _sweep(one: EngineStudy) -> dict:
    return {
        **_identity(one),
        "best_threshold": one.best.threshold,
        "mean_offset_px": one.offset,
        "froc": asdict(one.froc.result()),
        "points": [point.to_dict() for point in one.points],
    }
