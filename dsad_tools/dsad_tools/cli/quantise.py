"""``dsad quantise``: an engine on 8-bit integers, where it loses next to nothing."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dsad_core.errors import DataError, one_line
from dsad_tools.quantise import quantise_engine


def register(app: typer.Typer) -> None:
    app.command("quantise")(quantise)


def quantise(
    engine: Annotated[str, typer.Argument(help="Name or folder of an engine in float32.")],
    data: Annotated[
        list[Path], typer.Argument(help="Data sets with a training split; its frames calibrate and judge.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder that holds the engines. Default: beside the engine.")
    ] = None,
    held_out: Annotated[
        list[Path],
        typer.Option(
            help="File of names, one a line: these frames judge and never calibrate; may be repeated. "
            "Default: every second frame."
        ),
    ] = [],
    max_iou_drop: Annotated[float, typer.Option(min=0.0, help="IoU that may be lost.")] = 0.003,
) -> None:
    """Make an engine for the compiled kernels that runs its 3x3 convolutions on 8-bit integers.

    It needs a CPU with AVX-512 VNNI. Some frames of the training splits calibrate, others judge; nothing is written
    where the masks lose more than allowed.
    """
    try:
        names = {name for path in held_out for name in path.read_text().split()}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--held-out: {one_line(error)}") from error
    with Console(stderr=True).status("calibrating and judging"):
        folder, loss = quantise_engine(engine, data, out, max_iou_drop, names if held_out else None)
    before, after = loss.float32, loss.int8
    typer.echo(
        f"wrote {folder}: on {after.frames} frames IoU {before.iou:.4f} -> {after.iou:.4f}, "
        f"Pd {before.hits} -> {after.hits} of {after.targets}, Fa {(before.fa or 0) * 1e5:.3f} -> "
        f"{(after.fa or 0) * 1e5:.3f}e-5, false alarms a frame {before.false_targets / before.frames:.3f} -> "
        f"{after.false_targets / after.frames:.3f}; {loss.mask_pixels} mask pixels differ"
    )
