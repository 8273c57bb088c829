"""``dsad compile``: from trained weights to an engine, and from an engine to the files a device runs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, get_args

import numpy as np
import typer
from rich.console import Console

from dsad_core.cli.options import BACKEND_HELP, PLATFORM_HELP
from dsad_core.detector import Detector
from dsad_core.engines.backends import backend_module, check_platform
from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import CHECKPOINT_SUFFIX, find_checkpoint, find_engine
from dsad_core.engines.manifest import Manifest, Precision, load_manifest
from dsad_core.engines.platform import Backend, Platform, load_platform
from dsad_core.errors import EngineError, PlatformError, UnsupportedModelError, UsageError
from dsad_core.frame.geometry import padded_size, parse_size
from dsad_core.plugins import plugins

#: (height, width) of the frames that an engine of any size is built for unless others are named.
DEFAULT_SIZE = (512, 640)
ENGINES = Path("edge_engines")
UP_TO_DATE = "up to date"
NOTHING_TO_BUILD = "agrees with its manifest; nothing is built on this device"
PRECISIONS = get_args(Precision)


def register(app: typer.Typer) -> None:
    app.command("compile")(compile_engine)


def compile_engine(
    source: Annotated[
        str, typer.Argument(help="A training run's folder or weights, or the name or folder of an engine.")
    ],
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    size: Annotated[
        list[str],
        typer.Option(
            help="Frame size WIDTHxHEIGHT. Weights: a graph of this size alone; default: of any size. "
            "Engine: built for these; may be repeated; default 640x512."
        ),
    ] = [],
    precision: Annotated[str, typer.Option(help="Of weights: fp32, fp16, bf16 or int8.")] = "fp32",
    data: Annotated[
        list[Path],
        typer.Option(
            help="Weights: data set they were trained on, for parity and calibration (training split) and the "
            "test result; may be repeated."
        ),
    ] = [],
    out: Annotated[
        Path | None, typer.Option(help=f"Weights: folder that holds the engines. Default: {ENGINES}.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Weights: name of the engine. Default: what it is.")
    ] = None,
    test: Annotated[bool, typer.Option(help="Weights: score the engine on the test split.")] = True,
    max_iou_drop: Annotated[
        float | None,
        typer.Option(min=0.0, help="Below fp32: IoU that may be lost on the parity images. Default 0.01."),
    ] = None,
    max_pd_drop: Annotated[
        float | None, typer.Option(min=0.0, help="Below fp32: Pd that may be lost. Default 0.01.")
    ] = None,
    max_fa_rise: Annotated[
        float | None, typer.Option(min=0.0, help="Below fp32: Fa that may be added, in 1e-5. Default 1.")
    ] = None,
    backend: Annotated[Backend | None, typer.Option(help=BACKEND_HELP)] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Engine: build nothing; status 1 and the reason where something is out of date."
        ),
    ] = False,
) -> None:
    """Compile weights to an engine, or build what a device needs to run an engine.

    Weights become an engine folder, ONNX and manifest, only if its masks agree with the network's. An
    engine is built for this machine's device where its platform builds files (TensorRT plans, Ascend .om),
    which go to the cache, and is run once at each size.
    """
    sizes = [parse_size(text) for text in size]
    checkpoint = find_checkpoint(source)
    if checkpoint is None:
        given = {
            "--precision": precision != "fp32",
            "--data": bool(data),
            "--name": name is not None,
            "--out": out is not None,
            "--no-test": not test,
            "--max-iou-drop": max_iou_drop is not None,
            "--max-pd-drop": max_pd_drop is not None,
            "--max-fa-rise": max_fa_rise is not None,
        }
        if foreign := [option for option, is_given in given.items() if is_given]:
            raise UsageError(f"{source} is an engine: {', '.join(foreign)} go with weights, which it has not")
        prepare(find_engine(source), platform, sizes, backend, check)
        return
    if check:
        raise UsageError(f"--check compares an engine with what was built of it; {checkpoint} is weights")
    if len(sizes) > 1:
        raise UsageError("weights are compiled for one --size, or without it for any")
    if not data:
        raise UsageError("weights need --data: the data set they were trained on")
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    load_platform(platform)
    limits = {
        "iou": max_iou_drop,
        "pd": max_pd_drop,
        "fa": None if max_fa_rise is None else max_fa_rise * 1e-5,
    }
    folder = _compiler()(
        checkpoint,
        platform,
        data,
        out or ENGINES,
        name,
        precision,
        sizes[0] if sizes else None,
        {key: limit for key, limit in limits.items() if limit is not None},
        test,
    )
    typer.echo(f"wrote {folder}")
    try:
        check_platform(platform, backend).require()
    except PlatformError as error:
        typer.echo(f"not built for a device: {error}")
        return
    prepare(folder, platform, sizes, backend)


def prepare(
    folder: Path,
    platform: str,
    sizes: list[tuple[int, int]],
    backend: Backend | None = None,
    check: bool = False,
) -> None:
    """Run an engine once at each size (height, width), which builds what its backend needs there.

    With ``check`` nothing is built; raises ``typer.Exit`` with status 1 where something is out of date.

    Raises:
        PlatformError: this machine lacks what the platform needs.
        EngineError: the engine does not agree with its manifest, or cannot be built or run.
    """
    manifest = load_manifest(folder)
    sizes = [padded_size(*size, manifest.size_multiple) for size in sizes or [manifest.size or DEFAULT_SIZE]]
    console = Console(highlight=False, markup=False)
    if check:
        _check(console, folder, manifest, platform, sizes, backend)
        return
    try:
        engine = load_engine(folder, platform, backend=backend)
    except PlatformError:
        _print_commands(console, folder, manifest, platform, sizes)
        raise
    try:
        detector = Detector(engine)
        for height, width in sizes:
            label = f"{manifest.name} {width}x{height} on {platform}"
            with console.status(f"building {label} ..."):
                answer = detector.detect(np.zeros((height, width), np.uint8))
            first = (answer.inference_end_ns - answer.preprocess_end_ns) / 1e6
            console.print(f"{label}: {engine.description}; ran, first time in {first:.1f} ms", soft_wrap=True)
    finally:
        engine.close()


def _print_commands(
    console: Console, folder: Path, manifest: Manifest, platform: str, sizes: list[tuple[int, int]]
) -> None:
    """For a backend whose files a vendor's compiler builds: what would be run where that compiler is."""
    options = load_platform(platform)
    for name in options.backends:
        module = backend_module(name)
        if hasattr(module, "command_line"):
            for size in sizes:
                console.print(
                    f"{name}: {module.command_line(folder, manifest, options, size)}", soft_wrap=True
                )


def _check(
    console: Console,
    folder: Path,
    manifest: Manifest,
    platform: str,
    sizes: list[tuple[int, int]],
    backend: Backend | None,
) -> None:
    found = check_platform(platform, backend)
    found.require()
    options, modules = found.platform, [backend_module(name) for name in found.usable]
    outdated = False
    for size in sizes:
        reason = next(_verdicts(modules, folder, manifest, options, size), NOTHING_TO_BUILD)
        outdated |= reason not in (UP_TO_DATE, NOTHING_TO_BUILD)
        console.print(f"{manifest.name} {size[1]}x{size[0]} on {platform}: {reason}", soft_wrap=True)
    if outdated:
        raise typer.Exit(1)


def _verdicts(
    modules: list[ModuleType], folder: Path, manifest: Manifest, options: Platform, size: tuple[int, int]
) -> Iterator[str]:
    """What each backend that builds files and can take the engine says of them, in order of preference."""
    for module in modules:
        if hasattr(module, "stale"):
            with contextlib.suppress(UnsupportedModelError):
                yield module.stale(folder, manifest, options, size) or UP_TO_DATE


def _compiler():
    compiler = plugins("compiler").get(CHECKPOINT_SUFFIX.removeprefix("."))
    if compiler is None:
        raise EngineError(
            "weights are compiled by the training stage, which is not installed here; use its "
            "environment (see training/README.md)"
        )
    return compiler.load()
