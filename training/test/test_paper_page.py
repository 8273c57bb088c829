"""The tables of docs/paper.md are those that the command prints."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dsad_training.tables.cli import register

PAGE = Path(__file__).parents[2] / "docs" / "paper.md"


@pytest.mark.parametrize("number", [1, 4])
def test_the_page_has_the_table(number):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    printed = CliRunner().invoke(app, ["table", str(number), "--markdown"])
    assert printed.exit_code == 0 and "not run" not in printed.output
    assert printed.output.strip() in PAGE.read_text(encoding="utf-8")
