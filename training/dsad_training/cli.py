"""``dsad train``, ``dsad curves``, ``dsad keep``, ``dsad profile`` and ``dsad kernels``."""

from pathlib import Path
from typing import Annotated

import typer

from dsad_core.errors import UsageError

Data = Annotated[
    list[Path],
    typer.Option(
        help="Data set folder: images/, masks/ and a split such as 50_50/. Repeated: their training splits together."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the training stage's commands to the ``dsad`` program."""
    app.command("train")(train)
    app.command("curves")(curves)
    app.command("keep")(keep)
    app.command("profile")(profile)
    app.command("kernels")(kernels)


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the run: state, weights, log.")],
    recipe: Annotated[Path | None, typer.Argument(help="Recipe file; left out with --resume.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Stop cleanly after so many minutes.")
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option(help="Change the recipe: key=value, as phases.0.steps=100.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train a network by a recipe. Ctrl-C stops cleanly; --resume goes on to the same weights."""
    from dsad_training.recipe import load_recipe
    from dsad_training.train import train as run

    if resume == (recipe is not None):
        raise UsageError("give either a recipe to start, or --resume to go on with the run in --out")
    chosen = load_recipe(recipe, set or []) if recipe else None
    run(chosen, data, out, minutes=minutes, overrides=set or [], device=device)


def curves(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("curves.png"),
) -> None:
    """Draw how runs have learned so far: training loss and validation IoU."""
    from dsad_tools.analysis.canvas import png
    from dsad_core.files import write_atomic
    from dsad_training.curves import curve_figure, read_curve

    write_atomic(out, png(curve_figure([read_curve(run) for run in runs])))
    typer.echo(f"wrote {out}")


def keep(
    run: Annotated[Path, typer.Argument(help="A run's folder or its weights file.")],
    out: Annotated[Path, typer.Option(help="Folder to write them to.")],
) -> None:
    """Write a trained network's weights in half precision, to be kept and distilled from."""
    from dsad_training.checkpoint import keep_weights

    path = keep_weights(run, out)
    typer.echo(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


def profile(
    network: Annotated[
        list[str] | None, typer.Option(help="dnanet, amfunet, dmfnet; all by default.")
    ] = None,
    width: Annotated[list[int], typer.Option(min=1, help="Channels of the first level; may be repeated.")] = [
        4,
        16,
    ],
    height: Annotated[int, typer.Option(min=16, help="Image height, px, a multiple of 16.")] = 256,
    image_width: Annotated[int, typer.Option(min=16, help="Image width, px, a multiple of 16.")] = 256,
    runs: Annotated[int, typer.Option(min=1, help="Timed passes.")] = 10,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Parameters, cost, CPU time and memory of every network, with and without DSA."""
    from rich.console import Console
    from rich.table import Table

    from dsad_training.profile import profile as measure
    from dsad_training.recipe import network_part

    if height % 16 or image_width % 16:
        raise UsageError(f"image size {image_width}x{height}: both sides must be multiples of 16")
    table = Table(title=f"1x{height}x{image_width}, torch fp32, {threads} CPU threads")
    for heading in ("network", "spatial", "parameters", "G", "ms", "peak MiB"):
        table.add_column(heading, justify="left" if heading in ("network", "spatial") else "right")
    with Console(stderr=True).status("measuring"):
        for name in network or ("dnanet", "amfunet", "dmfnet"):
            for size in width:
                for spatial in ("none" if name == "dmfnet" else "cbam", "dsa"):
                    part = network_part(name=name, width=size, spatial=spatial)
                    row = measure(part, height, image_width, runs, threads)
                    table.add_row(
                        f"{name} num{size}",
                        spatial,
                        f"{row.parameters:,}",
                        f"{row.macs / 1e9:.4f}",
                        f"{row.milliseconds:.1f}",
                        f"{row.peak_mib:.0f}",
                    )
    Console().print(table)


def kernels(
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("dsa_kernels.png"),
    base: Annotated[str, typer.Option(help="zero_sum, ones, or learnable, as it starts.")] = "zero_sum",
    sign: Annotated[str, typer.Option(help="Of opposite arms: literal or same.")] = "literal",
    padding: Annotated[str, typer.Option(help="Beyond the border: replicate or zeros.")] = "replicate",
) -> None:
    """Draw the kernels of the directional attention DSA and what it makes of a generated scene."""
    from dsad_tools.analysis.canvas import png
    from dsad_core.files import write_atomic
    from dsad_training.kernels import kernel_figure
    from dsad_training.recipe import network_part

    part = network_part(name="dnanet", dsa={"base": base, "sign": sign, "padding": padding})
    write_atomic(out, png(kernel_figure(part.dsa)))
    typer.echo(f"wrote {out}")
