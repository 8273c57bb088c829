"""The ``dsad`` command: one program, whose commands each installed package adds.

A package offers a command by the entry point group ``dsad.commands``: a function
``register(app)`` that adds itself to the typer application. So ``dsad train`` exists where the
training stage is installed and ``dsad up`` where the ROS 2 packages are, and this module knows
neither.
"""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from dsad_core.cli.offers import add_offers
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
    add_offers("dsad.commands", app)
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
