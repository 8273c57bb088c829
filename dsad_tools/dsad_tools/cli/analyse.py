"""``dsad analyse``: engines side by side on labelled frames, as figures and numbers."""

import contextlib
from collections import Counter
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.table import Table

from dsad_core.cli.options import BACKEND_HELP, PLATFORM_HELP
from dsad_core.engines.load import load_engine
from dsad_core.engines.platform import Backend
from dsad_core.engines.protocol import Engine
from dsad_core.errors import UsageError
from dsad_core.metrics.counts import Matching
from dsad_tools.analysis import EngineStudy, Study, write_study
from dsad_tools.analysis import analyse as analyse_engines
from dsad_tools.data.open import open_source


def register(app: typer.Typer) -> None:
    app.command("analyse")(analyse)


def analyse(
    engines: Annotated[
        list[str],
        typer.Argument(
            metavar="ENGINE...", help="Names or folders of engines; run folders or weights of checkpoints."
        ),
    ],
    source: Annotated[Path, typer.Argument(help="Data set folder with masks.")],
    out: Annotated[Path, typer.Option(help="Folder for the figures and numbers.")],
    split: Annotated[str, typer.Option(help="Split of a data set: test, train or all.")] = "test",
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    backend: Annotated[Backend | None, typer.Option(help=BACKEND_HELP)] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability marked in the curves and used in the pictures. Default: each manifest's."
        ),
    ] = None,
    matching: Annotated[str, typer.Option(help="nearest or dnanet.")] = "nearest",
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: the target's.")] = None,
    limit: Annotated[int | None, typer.Option(help="Take only the first frames.")] = None,
    images: Annotated[
        str, typer.Option(help="Frames of the grid and the surfaces, id,id,... Default: six, evenly spread.")
    ] = "",
) -> None:
    """Compare engines: metrics over thresholds, pictures side by side, failures worst first, offsets."""
    if matching not in ("nearest", "dnanet"):
        raise UsageError(f"matching {matching!r} does not score masks; choose nearest or dnanet")
    names = [name.strip() for name in images.split(",") if name.strip()]
    samples = open_source(source, split)
    with contextlib.ExitStack() as stack:
        loaded = {}
        for name in engines:
            loaded[name] = load_engine(name, platform, threads, backend)
            stack.callback(loaded[name].close)
        study = analyse_engines(_labelled(loaded), samples, cast(Matching, matching), threshold, limit, names)
        with Console(stderr=True).status("Drawing"):
            written = write_study(out, study)
    _print(study, written)


def _labelled(engines: dict[str, Engine]) -> dict[str, Engine]:
    """Engines by their manifest's name; where two share it, by what the user called them, too."""
    names = Counter(engine.manifest.name for engine in engines.values())
    return {
        engine.manifest.name
        if names[engine.manifest.name] == 1
        else f"{engine.manifest.name} ({given})": engine
        for given, engine in engines.items()
    }


def _print(study: Study, written: list[Path]) -> None:
    # Names of folders may hold square brackets; they are no markup.
    console = Console(highlight=False, markup=False)
    unlabelled = f", {study.unlabelled} without a mask passed over" if study.unlabelled else ""
    console.print(f"{study.caption}{unlabelled}", soft_wrap=True)
    console.print(_table(study.engines))
    for line in [*(f"note: {note}" for note in study.notes), *(f"wrote {path}" for path in written)]:
        console.print(line, soft_wrap=True)


def _table(engines: list[EngineStudy]) -> Table:
    """One column an engine: their names are long, the figures short."""
    table = Table("metric", box=None, pad_edge=False)
    for one in engines:
        table.add_column(one.label, justify="right", overflow="fold")
    rows = {
        "threshold": [f"{one.threshold:g}" for one in engines],
        "Pd": [_figure(one.own.result.pd) for one in engines],
        "Fa, 1e-5": [_figure(one.own.result.fa, 1e5) for one in engines],
        "IoU": [_figure(one.own.result.iou) for one in engines],
        "nIoU": [_figure(one.own.result.niou) for one in engines],
        "best IoU": [_figure(one.best.result.iou) for one in engines],
        "at threshold": [f"{one.best.threshold:.3g}" for one in engines],
        "offset, px": [_offset(one.offset) for one in engines],
    }
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


def _offset(offset: tuple[float, float] | None) -> str:
    """Mean of the detections' places beside the labels, right and down."""
    return "-" if offset is None else f"{offset[0]:+.2f}, {offset[1]:+.2f}"


def _figure(value: float | None, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:.4f}"
