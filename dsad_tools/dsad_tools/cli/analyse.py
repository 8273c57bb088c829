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
            metavar="ENGINE...",
            help="Names or folders of engines; run folders or weights of checkpoints. LABEL=ENGINE names one in the "
            "figures.",
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
    images_only: Annotated[
        bool, typer.Option("--images-only", help="Run on the frames of --images alone.")
    ] = False,
) -> None:
    """Compare engines: metrics over thresholds, pictures side by side, failures worst first, offsets."""
    if matching not in ("nearest", "dnanet"):
        raise UsageError(f"matching {matching!r} does not score masks; choose nearest or dnanet")
    names = [name.strip() for name in images.split(",") if name.strip()]
    if images_only and not names:
        raise UsageError("--images-only needs --images")
    samples = open_source(source, split)
    with contextlib.ExitStack() as stack:
        loaded, labels = {}, {}
        for given in engines:
            label, name = _parts(given)
            loaded[given] = load_engine(name, platform, threads, backend)
            stack.callback(loaded[given].close)
            labels[given] = label or loaded[given].manifest.name
        study = analyse_engines(
            _labelled(loaded, labels), samples, cast(Matching, matching), threshold, limit, names, images_only
        )
        with Console(stderr=True).status("Drawing"):
            written = write_study(out, study)
    _print(study, written)


def _parts(given: str) -> tuple[str, str]:
    """Label and engine of LABEL=ENGINE; a path that exists is an engine, whatever its name holds."""
    label, equals, name = given.partition("=")
    return (label, name) if equals and label and name and not Path(given).exists() else ("", given)


def _labelled(engines: dict[str, Engine], labels: dict[str, str]) -> dict[str, Engine]:
    """Engines by their labels; where two share one, by what the user called them, too."""
    counts = Counter(labels.values())
    return {
        labels[given] if counts[labels[given]] == 1 else f"{labels[given]} ({given})": engine
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
    """A line for each engine, of which there may be a dozen."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("engine", overflow="fold")
    for heading in ("threshold", "Pd", "Fa, 1e-5", "IoU", "nIoU", "best IoU", "at", "offset, px"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in engines:
        result = one.own.result
        figures = [_figure(result.pd), _figure(result.fa, 1e5), _figure(result.iou), _figure(result.niou)]
        best = [_figure(one.best.result.iou), f"{one.best.threshold:.3g}"]
        table.add_row(one.label, f"{one.threshold:g}", *figures, *best, _offset(one.offset))
    return table


def _offset(offset: tuple[float, float] | None) -> str:
    """Mean of the detections' places beside the labels, right and down."""
    return "-" if offset is None else f"{offset[0]:+.2f}, {offset[1]:+.2f}"


def _figure(value: float | None, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:.4f}"
