"""``dsad scenes``: write generated sequences with moving targets, ids, a panning camera and corrections."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dsad_core.errors import UsageError
from dsad_core.frame.geometry import parse_size
from dsad_tools.data.write_sequence import write_sequence
from dsad_tools.scenes.clutter import TERRAINS
from dsad_tools.scenes.moving import MovingScene


def register(app: typer.Typer) -> None:
    app.command("scenes")(scenes)


def scenes(
    out: Annotated[Path, typer.Argument(help="Folder that gets one annotated sequence for each scene.")],
    count: Annotated[int, typer.Option(help="Scenes to write; the terrains take turns.")] = 4,
    frames: Annotated[int, typer.Option(help="Frames of each.")] = 300,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the frames.")] = "320x256",
    fps: Annotated[float, typer.Option(help="Frame rate that the motion is meant for, Hz.")] = 25.0,
    pan: Annotated[
        float, typer.Option(help="Pixels a frame by which the camera swings to and fro, 0 to 8.")
    ] = 0.0,
    correction_s: Annotated[
        float | None, typer.Option(help="Seconds from one flat-field correction to the next. Default: none.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="uint8 or uint16.")] = "uint8",
    seed: Annotated[int, typer.Option(help="Of the first scene; the next ones count up.")] = 0,
) -> None:
    """Write generated sequences, for `dsad evaluate --tracks` and training."""
    if count < 1:
        raise UsageError(f"count {count}: write at least 1 scene")
    height, width = parse_size(size)
    names = list(TERRAINS)
    console = Console(highlight=False, markup=False)
    for number in range(count):
        terrain = names[number % len(names)]
        source = MovingScene(
            height,
            width,
            frames,
            seed + number,
            dtype,
            terrain=terrain,
            fps=fps,
            pan=pan,
            correction_s=correction_s,
        )
        folder = out / f"{terrain}-{seed + number:03d}"
        written = write_sequence(folder, source)
        console.print(f"wrote {folder}: {written} frames of {width}x{height}, {dtype}", soft_wrap=True)
