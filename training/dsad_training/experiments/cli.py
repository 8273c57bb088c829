"""``dsad experiments``."""

from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the queue of trainings to the ``dsad`` program."""
    group = typer.Typer(no_args_is_help=True, help="Train what the paper's tables are made of.")
    group.command("run")(run)
    group.command("list")(list_runs)
    group.command("weights")(weights)
    app.add_typer(group, name="experiments")


def run(
    plan: Annotated[Path, typer.Argument(help="Plan file, as training/plans/paper.yaml.")],
    data: Annotated[Path, typer.Option(help="Folder that the data sets lie in.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs and of results.csv.")] = Path("runs/paper"),
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes, one for each core.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Stop cleanly after so many minutes.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Budget in place of the plan's.")] = None,
    commit: Annotated[str | None, typer.Option(help="Of this project, where it is not a checkout.")] = None,
) -> None:
    """Train every run of a plan that is not done yet. Ctrl-C stops cleanly; the same command goes on."""
    from dsad_training.experiments.plan import load_plan
    from dsad_training.experiments.queue import run_plan

    outcome = run_plan(load_plan(plan, steps), data, out, jobs, device, minutes, commit)
    typer.echo(f"{outcome.done} of {outcome.runs} runs are done; results in {out / 'results.csv'}")
    if outcome.failed:
        raise typer.Exit(1)


def weights(
    results: Annotated[Path, typer.Argument(help="results.csv of a plan with a sweep.")] = Path(
        "runs/paper/results.csv"
    ),
) -> None:
    """Print each method's weights, their validation IoU and how hard they pull beside the task."""
    from rich.console import Console
    from rich.table import Table

    from dsad_core.errors import UsageError
    from dsad_training.results import read, weights_table

    found = weights_table(read(results))
    if found.empty:
        raise UsageError(f"{results}: holds no sweep of weights; dsad experiments run makes one")
    table = Table(title="validation IoU after a short training; * is the weight that is taken")
    for heading in ("network", "method", "weight", "IoU %", "|g_kd| / |g_task|", ""):
        table.add_column(heading, justify="left" if heading in ("network", "method") else "right")
    line: Any
    for line in found.itertuples():
        mark = "*" if line.chosen else ""
        table.add_row(
            line.network, line.method, f"{line.weight:g}", f"{line.iou:.2f}", f"{line.ratio:.3g}", mark
        )
    Console().print(table)


def list_runs(plan: Annotated[Path, typer.Argument(help="Plan file.")]) -> None:
    """Print the runs of a plan and the jobs they are trained in, in their order."""
    from dsad_training.experiments.plan import load_plan, plan_jobs, plan_runs

    loaded = load_plan(plan)
    runs = plan_runs(loaded)
    for job in plan_jobs(loaded, runs):
        typer.echo(f"{job.name}")
        for each in job.runs:
            typer.echo(f"  {each.name}  {each.steps} steps")
    typer.echo(f"{len(runs)} runs")
