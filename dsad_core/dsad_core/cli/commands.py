"""The application of ``dsad``, and the commands that installed packages add, see `dsad_core.plugins`."""

import typer
from rich.console import Console
from rich.markup import escape

from dsad_core.plugins import plugins


def build_app() -> typer.Typer:
    """The application with every installed command."""
    app = typer.Typer(
        name="dsad",
        help="Infrared small-target detection: run, record, evaluate and measure.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    # A callback keeps the commands named even where only one is installed.
    app.callback()(lambda: None)
    add_commands("command", app)
    return app


def add_commands(kind: str, app: typer.Typer) -> None:
    """Let every package that offers commands of a kind register them.

    One whose own needs are not in this environment, such as a ROS package on the path of the training stage's
    Python, is left out with a line on stderr.
    """
    for entry in plugins(kind).values():
        try:
            register = entry.load()
        except ModuleNotFoundError as error:
            Console(stderr=True, highlight=False).print(
                f"[yellow]dsad:[/] without the commands of {escape(entry.module)}: {escape(str(error))}",
                soft_wrap=True,
            )
        else:
            register(app)
