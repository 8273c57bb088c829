"""``dsad bench train``."""

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsad_core.errors import UsageError

if TYPE_CHECKING:
    from dsad_training.recipe import Recipe

Data = Annotated[Path, typer.Option(help="Data set folder: images/, masks/ and a split such as 50_50/.")]


def register(app: typer.Typer) -> None:
    """Add ``train`` to ``dsad bench``."""
    app.command("train")(train)


def train(
    data: Data,
    network: Annotated[str, typer.Option(help="dnanet or amfunet.")] = "dnanet",
    width: Annotated[int, typer.Option(help="Channels of the first level.")] = 4,
    crop: Annotated[
        list[int], typer.Option(help="Side of the crops, px, a multiple of 16; may be repeated.")
    ] = [64, 256],
    batch: Annotated[list[int], typer.Option(min=2, help="Images of a step, one for each --crop.")] = [
        32,
        16,
    ],
    blocks: Annotated[int, typer.Option(min=1, help="Timed blocks of each loop.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.0, help="Shortest time of a block.")] = 5.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of torch; default: the usable cores.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes of the plain loop.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
) -> None:
    """Time our training step beside a plain loop: PNG decoded for every image, fp32, default layout.

    Both train the same network at the same batch and crop, in turn, block by block. Ours does what a recipe asks
    for: all augmentation, fp32, cross-entropy, averaged weights; once on torch's operators and once on the compiled
    kernels. The published scripts train on crops of 256 px, 16 a step.
    """
    import torch
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from dsad_core.files import write_atomic
    from dsad_core.machine import usable_cores
    from dsad_tools.bench.machine import bench_machine, machine_line
    from dsad_training.bench.measure import compare

    if network == "dmfnet":
        raise UsageError("--network dmfnet takes two views of the image, which the plain loop does not make")
    if len(crop) != len(batch):
        raise UsageError(f"{len(crop)} --crop beside {len(batch)} --batch: give one --batch for each --crop")
    recipes = [_recipe(network, width, side, images) for side, images in zip(crop, batch)]
    threads = threads or usable_cores()
    before = torch.get_num_threads()
    facts = bench_machine([threads]) | {"torch": torch.__version__}
    torch.set_num_threads(threads)
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("timing", total=3 * blocks * len(recipes))
            found = [
                compare(recipe, data, blocks, seconds, workers, lambda: progress.advance(task))
                for recipe in recipes
            ]
    finally:
        torch.set_num_threads(before)
    report = {
        "data": data.resolve().name,
        "network": network,
        "width": width,
        "threads": threads,
        "workers": workers,
        "machine": facts,
        "sizes": [comparison.to_dict() for comparison in found],
    }
    if json_path is not None:
        write_atomic(json_path, json.dumps(report, indent=2) + "\n")

    table = Table(
        title=f"{network} num{width}, {report['data']}: images/s and CPU ms a step, median of {blocks} blocks",
        title_justify="left",
    )
    for heading in (
        *("crop", "batch", "plain", "torch's operators", "ours", "ours / plain", "slowest to fastest round"),
        "CPU ms a step",
    ):
        table.add_column(heading, justify="right")
    for comparison in found:
        rates = [statistics.median(block.rate for block in blocks) for blocks in comparison.loops.values()]
        table.add_row(
            str(comparison.crop),
            str(comparison.batch),
            *(f"{rate:.1f}" for rate in rates),
            f"{comparison.ratio:.2f}",
            f"{min(comparison.ratios):.2f} to {max(comparison.ratios):.2f}",
            " / ".join(f"{1e3 * comparison.cpu_seconds(name):.0f}" for name in comparison.loops),
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"decoding and packing the split once took {found[0].pack_seconds:.1f} s, not counted")
    console.print(
        f"torch {facts['torch']}, {threads} threads, {workers} loader processes; {machine_line(facts)}",
        soft_wrap=True,
    )


def _recipe(network: str, width: int, crop: int, batch: int) -> "Recipe":
    """What a recipe for this machine asks for, at one crop and batch."""
    from dsad_training.recipe import build_recipe

    content = {
        "network": {"name": network, "width": width},
        "data": {"mean": 0.42, "std": 0.22},
        "bce": 0.5,
        "phases": [{"steps": 1, "batch": batch, "crop": crop, "lr": 1e-3}],
    }
    return build_recipe(content, origin="bench train")
