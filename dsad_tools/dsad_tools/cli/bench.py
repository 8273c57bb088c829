"""``dsad bench``: measurements. This package measures engines, a detector and a tracker; others add theirs."""

import json
import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dsad_core.cli.commands import add_commands
from dsad_core.cli.options import PLATFORM_HELP
from dsad_core.engines.manifest import Precision
from dsad_core.errors import UsageError
from dsad_core.files import write_atomic
from dsad_core.frame.geometry import parse_size
from dsad_core.machine import usable_cores
from dsad_tools.bench.machine import bench_machine
from dsad_tools.bench.measure import Block, Case
from dsad_tools.bench.models import Model, find_models
from dsad_tools.bench.plot import draw
from dsad_tools.bench.report import model_facts, results, runtime_versions, speedups
from dsad_tools.bench.runtimes import runtimes
from dsad_tools.bench.table import footnotes, result_tables, speedup_table
from dsad_tools.cli.bench_detector import detector
from dsad_tools.cli.bench_scale import scale
from dsad_tools.cli.bench_tracker import tracker
from dsad_tools.cli.bench_trackers import trackers

JSON_FILE, PLOT_FILE = "bench.json", "bench.png"
#: What an engine may be compiled to beside fp32.
PRECISIONS = ("fp16", "bf16", "int8")
#: Columns to print in, whatever the terminal's: a line that is too long for it wraps, but no figure is cut.
WIDTH = 120


def register(app: typer.Typer) -> None:
    bench = typer.Typer(name="bench", help="Measure engines and pipelines.", no_args_is_help=True)
    bench.command("engine")(engine)
    bench.command("scale")(scale)
    bench.command("detector")(detector)
    bench.command("tracker")(tracker)
    bench.command("trackers")(trackers)
    add_commands("bench", bench)
    app.add_typer(bench)


def engine(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="Names or folders of engines; run folders or weights of checkpoints. "
            "Default: the default engine.",
        ),
    ] = None,
    networks: Annotated[
        bool, typer.Option("--networks", help="The paper's six networks with untrained weights.")
    ] = False,
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    size: Annotated[list[str], typer.Option(help="Frame size WIDTHxHEIGHT; may be repeated.")] = [
        "256x256",
        "640x512",
    ],
    threads: Annotated[
        list[int], typer.Option(min=1, help="CPU threads; may be repeated. Default: 1 and all.")
    ] = [],
    backend: Annotated[
        list[str], typer.Option(help="Backend to measure; may be repeated. Default: all of the target.")
    ] = [],
    precision: Annotated[
        list[str],
        typer.Option(
            help="Also run engines compiled to it, NAME-PRECISION beside NAME; weights are compiled to it. "
            "fp16, bf16 or int8; may be repeated."
        ),
    ] = [],
    skip: Annotated[
        list[str],
        typer.Option(metavar="RUNTIME", help="Leave one out, such as torch.compile; may be repeated."),
    ] = [],
    runs: Annotated[int, typer.Option(help="Turns of each.", min=1)] = 30,
    cold: Annotated[
        bool, typer.Option(help="Measure cold start and memory, at the most threads, in a process for each.")
    ] = True,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json and bench.png.")] = None,
) -> None:
    """Time backends against plain onnxruntime and, where it is installed, torch, in turn, frame by frame.

    Inference alone, on generated scenes. A speed is how many times faster than the first row of its table,
    the median over the turns; / bound is the median time over what the network's multiplications, every
    convolution summed directly, take at this CPU's measured peak; mask px (differing / its own) and logits (largest difference) compare the
    answers on the same frames; start is from a fresh process to its first answer; MiB is its peak memory
    beyond the common imports.
    """
    sizes = list(dict.fromkeys(parse_size(text) for text in size))
    counts = list(dict.fromkeys(threads)) or sorted({1, usable_cores()})
    if unknown := set(precision) - set(PRECISIONS):
        raise UsageError(f"--precision {', '.join(sorted(unknown))}: choose of {', '.join(PRECISIONS)}")
    precisions = cast(tuple[Precision, ...], tuple(dict.fromkeys(precision)))
    ways = runtimes(platform, backend, precisions)
    if unknown := set(skip) - {way.name for way in ways}:
        raise UsageError(
            f"--skip {', '.join(sorted(unknown))}: the runtimes are {', '.join(way.name for way in ways)}"
        )
    ways = [way for way in ways if way.name not in skip]
    with tempfile.TemporaryDirectory(prefix="dsad-bench-") as folder:
        with Console(stderr=True).status("Preparing networks"):
            named = sources or ([] if networks else ["default"])
            models = find_models(named, networks, Path(folder), precisions)
        machine = bench_machine(counts)
        peaks = machine["peak_gflops"] if platform == "cpu" else {}
        blocks = [
            Block(
                platform,
                frame,
                count,
                [Case(model, way, model.manifest) for model in family for way in ways],
                peaks.get(str(count)),
            )
            for family, frame, count in product(_families(models), sizes, counts)
        ]
        report: dict[str, Any] = {
            "target": platform,
            "runs": runs,
            "machine": machine | runtime_versions(),
            "subjects": [model_facts(model) for model in models],
        }
        report["interrupted"] = not _measure(blocks, runs, max(counts) if cold else 0)
    begun = [block for block in blocks if any(case.runs or case.failure for case in block.cases)]
    report["results"] = [entry for block in begun for entry in results(block)]
    baselines = [entry["contender"] for entry in report["results"] if entry.get("baseline")]
    report["baseline"] = baselines[0] if baselines else None
    report["speedups"] = [entry for block in begun for entry in speedups(block)]
    _print(report)
    if out is not None:
        write_atomic(out / JSON_FILE, json.dumps(report, indent=1) + "\n")
        if report["baseline"]:
            write_atomic(out / PLOT_FILE, draw(report))
        typer.echo(f"wrote {out}")
    if report["interrupted"]:
        raise typer.Exit(130)


def _families(models: list[Model]) -> list[list[Model]]:
    """Networks of one kind, such as teacher and student, which take turns with each other, too."""
    families = defaultdict(list)
    for model in models:
        families[model.manifest.network].append(model)
    return list(families.values())


def _measure(blocks: list[Block], runs: int, cold_threads: int) -> bool:
    """Measure block after block, cold starts in those of ``cold_threads``; False if it was interrupted."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        total = sum(runs + len(block.cases) * (1 + (block.threads == cold_threads)) for block in blocks)
        task = progress.add_task("", total=total)
        try:
            for block in blocks:
                label = f"{block.size[1]}x{block.size[0]}, {block.threads} threads: "

                def advance(what: str, label: str = label) -> None:
                    progress.update(task, advance=1, description=label + what)

                block.measure(runs, advance)
                if block.threads == cold_threads:
                    block.measure_cold(advance)
        except KeyboardInterrupt:
            return False
    return True


def _print(report: dict[str, Any]) -> None:
    console = Console(highlight=False, markup=False, width=WIDTH)
    for table in [*result_tables(report), speedup_table(report)]:
        if table is not None:
            console.print(table, "")
    for line in footnotes(report):
        console.print(line, soft_wrap=True)
    if report["interrupted"]:
        console.print("interrupted: figures are of the turns until then")
