"""``dsad card``: model cards of engines."""

from typing import Annotated

import typer

from dsad_core.engines.locate import find_engine


def register(app: typer.Typer) -> None:
    app.command("card")(card)


def card(
    engines: Annotated[list[str], typer.Argument(metavar="ENGINE...", help="Names or folders of engines.")],
) -> None:
    """Write an engine's model card, README.md in its folder, from its manifest."""
    from dsad_tools.cards.card import write_card

    for name in engines:
        folder = find_engine(name)
        typer.echo(f"wrote {write_card(folder)}")
