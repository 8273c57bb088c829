"""The application of ``dsad``, and the commands that installed packages add, see `dsad_core.plugins`."""

import sys

import typer

from dsad_core.errors import NotInstalledError
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

    A plugin is named for its command. One whose own needs are not in this environment, such as a ROS package on
    the path of the training stage's Python, is not listed; whoever calls its command is told what is missing.
    """
    for name, entry in plugins(kind).items():
        try:
            register = entry.load()
        except ModuleNotFoundError as error:
            _explain_absence(app, name, str(error))
        else:
            register(app)


def _explain_absence(app: typer.Typer, name: str, reason: str) -> None:
    @app.command(
        name, hidden=True, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
    )
    def absent() -> None:
        raise NotInstalledError(f"{name} cannot run in this Python, {sys.executable}: {reason}")
