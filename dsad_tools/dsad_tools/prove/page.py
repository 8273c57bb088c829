"""The proofs as one HTML file."""

from collections.abc import Sequence
from itertools import groupby

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from dsad_tools.prove.proof import Check, summary


def page(checks: Sequence[Check], facts: dict) -> str:
    """A page that works offline; ``facts`` has share, engine, seed and machine."""
    places = [PackageLoader("dsad_tools.prove", ""), PackageLoader("dsad_tools.report", "")]
    environment = Environment(loader=ChoiceLoader(places), autoescape=True, undefined=StrictUndefined)
    groups = [(name, list(group)) for name, group in groupby(checks, key=lambda check: check.proof)]
    return environment.get_template("page.html.j2").render(
        groups=groups, facts=facts, summary=summary(checks)
    )
