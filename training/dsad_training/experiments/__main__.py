"""``python -m dsad_training.experiments``: the command without an installed ``dsad``."""

import typer

from dsad_training.experiments.cli import list_runs, run, weights

app = typer.Typer(no_args_is_help=True)
app.command("run")(run)
app.command("list")(list_runs)
app.command("weights")(weights)

if __name__ == "__main__":
    app()
