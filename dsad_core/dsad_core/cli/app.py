"""The ``dsad`` command: one program, whose commands each installed package adds.

This package has the two that a robot needs, ``dsad doctor`` and ``dsad compile``. Every other command
is a plugin of its package (see `dsad_core.plugins`): ``dsad evaluate`` exists where the tools are
installed, ``dsad up`` where the ROS 2 laboratory is, ``dsad train`` where the training stage is.
"""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from dsad_core.cli.commands import add_commands
from dsad_core.errors import DsadError

app = typer.Typer(
    name="dsad",
    help="Infrared small-target detection: run, record, evaluate and measure.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Keeps the commands named even where only one is installed."""


def build_app() -> typer.Typer:
    """The application with every installed command."""
    add_commands("command", app)
    return app


def main() -> None:
    """Run the command line. A user's error is one line on stderr and exit status 2."""
    try:
        build_app()()
    except DsadError as error:
        Console(stderr=True, highlight=False).print(
            f"[bold red]dsad:[/] {escape(str(error))}", soft_wrap=True
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
