"""Commands that other installed packages add, found by entry points."""

from importlib.metadata import entry_points

import typer
from rich.console import Console
from rich.markup import escape


def add_offers(group: str, app: typer.Typer) -> None:
    """Let every package that offers commands under an entry point group register them.

    One whose own needs are not in this environment, such as a ROS package on the path of the training stage's
    Python, is left out with a line on stderr.
    """
    # Two copies of a distribution on the path (an overlay over a wheel) name an offer twice.
    unique = {entry.name: entry for entry in reversed(list(entry_points(group=group)))}
    for name in sorted(unique):
        try:
            register = unique[name].load()
        except ModuleNotFoundError as error:
            Console(stderr=True, highlight=False).print(
                f"[yellow]dsad:[/] without the commands of {escape(unique[name].module)}: {escape(str(error))}",
                soft_wrap=True,
            )
        else:
            register(app)
