"""``dsad bench train``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dsad_core.errors import UsageError

Data = Annotated[Path, typer.Option(help="Data set folder: images/, masks/ and a split such as 50_50/.")]


def register(app: typer.Typer) -> None:
    """Add ``train`` to ``dsad bench``."""
    app.command("train")(train)


def train(
    data: Data,
    network: Annotated[str, typer.Option(help="dnanet or amfunet.")] = "dnanet",
    width: Annotated[int, typer.Option(help="Channels of the first level.")] = 4,
    batch: Annotated[int, typer.Option(min=2, help="Images of a step.")] = 32,
    crop: Annotated[int, typer.Option(help="Side of the crops, px, a multiple of 16.")] = 64,
    blocks: Annotated[int, typer.Option(min=1, help="Timed blocks of each loop.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.0, help="Shortest time of a block.")] = 5.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of torch; default: the usable cores.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes of the plain loop.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
) -> None:
    """Time our training step beside a plain loop: PNG decoded for every image, fp32, default layout.

    Both train the same network at the same batch and crop, in turn, block by block. Ours does what the recipe
    of the shipped engine asks for: all augmentation, bf16, channels_last, cross-entropy, averaged weights.
    """
    import torch
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from dsad_core.files import write_atomic
    from dsad_core.machine import machine_facts, usable_cores
    from dsad_training.bench.measure import compare
    from dsad_training.recipe import build_recipe

    if network == "dmfnet":
        raise UsageError("--network dmfnet takes two views of the image, which the plain loop does not make")
    content = {
        "network": {"name": network, "width": width},
        "data": {"mean": 0.42, "std": 0.22},
        "bce": 0.5,
        "bf16": True,
        "phases": [{"steps": 1, "batch": batch, "crop": crop, "lr": 1e-3}],
    }
    recipe = build_recipe(content, origin="bench train")
    threads = threads or usable_cores()
    before = torch.get_num_threads()
    facts = machine_facts() | {"torch": torch.__version__}
    torch.set_num_threads(threads)
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("timing", total=2 * blocks)
            found = compare(recipe, data, blocks, seconds, workers, lambda: progress.advance(task))
    finally:
        torch.set_num_threads(before)
    report = {"data": data.resolve().name, "network": network, "width": width, "threads": threads,
              "workers": workers, "machine": facts, **found.to_dict()}
    if json_path is not None:
        write_atomic(json_path, json.dumps(report, indent=2) + "\n")

    table = Table(title=f"{network} num{width}, batch {batch}, crop {crop}, {report['data']}: images/s",
                  title_justify="left")
    table.add_column("loop")
    for heading in ("median", "slowest block", "fastest block", "images"):
        table.add_column(heading, justify="right")
    for name, done in (("plain", found.plain), ("ours", found.ours)):
        rates = [block.rate for block in done]
        table.add_row(name, f"{report[name]['images_per_second']:.1f}", f"{min(rates):.1f}",
                      f"{max(rates):.1f}", str(sum(block.images for block in done)))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"ours / plain: {found.ratio:.2f} (median of {blocks} pairs, {min(found.ratios):.2f} to "
                  f"{max(found.ratios):.2f}); decoding and packing the split once took "
                  f"{found.pack_seconds:.1f} s, not counted", soft_wrap=True)
    console.print(f"torch {facts['torch']}, {threads} threads, {workers} loader processes; {facts['cpu']}, "
                  f"{facts['cores']} cores, load {facts['load_average']} at the start; {facts['system']}",
                  soft_wrap=True)
