"""``dsad train`` and the commands around a run."""

import math
from pathlib import Path
from typing import Annotated

import typer

from dsad_core.engines.platform import Backend
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
    app.command("soft-labels")(soft_labels)
    app.command("calibrate")(calibrate)
    app.command("curves")(curves)
    app.command("keep")(keep)
    app.command("import")(import_published)
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


def soft_labels(
    teacher: Annotated[Path, typer.Argument(help="A run's folder or its weights file.")],
    recipe: Annotated[Path, typer.Argument(help="Recipe whose training images are answered.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the recipe's data sets.")],
    out: Annotated[Path, typer.Option(help="File to write, .safetensors.")],
    views: Annotated[int, typer.Option(help="1, 2 or 4 views of each image, averaged.")] = 2,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Let a teacher answer all training images of a recipe, for `data.soft` of other recipes."""
    from dsad_core.files import sha256_file
    from dsad_training.checkpoint import load_weights, weights_path
    from dsad_training.data.union import load_union
    from dsad_training.distributed import usable_device
    from dsad_training.recipe import load_recipe
    from dsad_training.soft_labels import answers, write_soft_labels

    if views not in (1, 2, 4):
        raise UsageError(f"--views {views}: choose 1, 2 or 4")
    part = load_recipe(recipe).data
    if not part.sources:
        raise UsageError(f"{recipe}: has no data.sources, whose images a teacher could answer")
    place = usable_device(device)
    network, taught, _ = load_weights(teacher)
    images, _, _, _ = load_union(data, part.model_copy(update={"soft": None}))
    soft = answers(network.to(place), images.to(place), taught.data, views)
    write_soft_labels(out, soft, images, sha256_file(weights_path(teacher)))
    typer.echo(f"wrote {out}: {len(images)} images")


def calibrate(
    engine: Annotated[Path, typer.Argument(help="Folder of the engine; its manifest gets the threshold.")],
    recipe: Annotated[Path, typer.Argument(help="Recipe of its training, whose held-out parts are run.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the recipe's data sets.")],
    rate: Annotated[float, typer.Option(min=0.0, help="False alarms a frame, mean over the sets.")] = 0.1,
    unlabelled: Annotated[
        list[str],
        typer.Option(help="Set whose warm objects nobody labelled; it has no say. May be repeated."),
    ] = [],
    backend: Annotated[Backend | None, typer.Option(help="What runs the engine.")] = None,
) -> None:
    """Choose an engine's threshold and what its scores are worth, on held-out images."""
    from rich.console import Console
    from rich.table import Table

    from dsad_core.detector import Detector
    from dsad_core.engines.load import load_engine
    from dsad_core.engines.manifest import read_manifest, save_manifest
    from dsad_training.calibrate import OUTLINE
    from dsad_training.calibrate import calibrate as measure
    from dsad_training.data.union import load_union
    from dsad_training.recipe import load_recipe

    part = load_recipe(recipe).data
    if not part.sources:
        raise UsageError(f"{recipe}: has no data.sources with held-out parts")
    names = [source.folder for source in part.sources]
    if foreign := sorted(set(unlabelled) - set(names)):
        raise UsageError(f"--unlabelled {foreign[0]}: {recipe} has no such set; it has {', '.join(names)}")
    loose = {source.folder for source in part.sources if source.kind == "recordings"}
    _, held_out, _, _ = load_union(data, part.model_copy(update={"soft": None}))
    if held_out is None:
        raise UsageError(f"{recipe}: holds nothing out; give its sources `validation`")
    loaded = load_engine(str(engine), backend=backend)
    try:
        result = measure(Detector(loaded, value_range=(0, 255)), held_out, names, loose, set(unlabelled))
    finally:
        loaded.close()
    threshold, choice = result.choose(rate)
    calibration = result.scores()
    update = {
        "threshold": threshold,
        "outline": min(OUTLINE, threshold),
        "threshold_choice": choice,
        "calibration": calibration,
    }
    save_manifest(engine, read_manifest(engine).model_copy(update=update))
    table = Table(title=f"{engine.name} on held-out images; threshold {threshold:g}")
    columns = (
        "set",
        "frames",
        "targets",
        "Pd",
        "false a frame",
        "Pd at 0.01",
        "0.1",
        "1 false a frame",
        "AUC",
        "ceiling",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "set" else "right")
    for each in choice.sets:
        figures = [
            each.pd,
            each.false_a_frame,
            *(each.pd_at[allowed] for allowed in (0.01, 0.1, 1.0)),
            each.auc,
            each.ceiling,
        ]
        shown = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        table.add_row(each.data_set, str(each.frames), str(each.targets), *shown)
    scores = Table(title=f"what a score is worth: {calibration.answers} answers")
    for column in ("score", "share true", "answers"):
        scores.add_column(column, justify="right")
    for bin in calibration.reliability:
        scores.add_row(f"{bin.score:.3f}", f"{bin.true:.3f}", str(bin.answers))
    console = Console()
    console.print(table)
    console.print(scores)


def curves(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("curves.png"),
) -> None:
    """Draw how runs have learned so far: training loss and validation IoU."""
    from dsad_core.files import write_atomic
    from dsad_tools.analysis.canvas import png
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


def import_published(
    checkpoint: Annotated[Path, typer.Argument(help="Published checkpoint, .pth or .pth.tar.")],
    network: Annotated[str, typer.Option(help="dnanet or amfunet.")],
    width: Annotated[int, typer.Option(min=1, help="Channels of the first level.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: runs/<checkpoint>.")] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Of the image, full scale 1: one value or R,G,B. Default: ImageNet's."),
    ] = None,
    std: Annotated[str | None, typer.Option(help="Its standard deviation, as --mean.")] = None,
    trained_on: Annotated[str | None, typer.Option(help="Name of the data set, for the manifest.")] = None,
) -> None:
    """Take over published weights as a run, for dsad evaluate, dsad compile and as a teacher."""
    from dsad_training.published import import_weights

    if (mean is None) != (std is None):
        raise UsageError("--mean and --std go together")
    means, stds = _channel_values(mean, "--mean"), _channel_values(std, "--std")
    folder = out or Path("runs") / checkpoint.name.split(".")[0]
    typer.echo(f"wrote {import_weights(checkpoint, network, width, folder, means, stds, trained_on)}")


def _channel_values(text: str | None, option: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        values = (math.nan,)
    if len(values) not in (0, 1, 3) or not all(map(math.isfinite, values)):
        raise UsageError(f"{option} {text}: give one number, or three as 0.485,0.456,0.406")
    return values


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
    from dsad_core.files import write_atomic
    from dsad_tools.analysis.canvas import png
    from dsad_training.kernels import kernel_figure
    from dsad_training.recipe import network_part

    part = network_part(name="dnanet", dsa={"base": base, "sign": sign, "padding": padding})
    write_atomic(out, png(kernel_figure(part.dsa)))
    typer.echo(f"wrote {out}")
