"""The proofs as one HTML file."""

from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined

from dsad_tools.prove.proof import Check


def page(checks: list[Check], facts: dict) -> str:
    """A page that works offline; ``facts`` has share, engine, seed and machine."""
    loaders = [PackageLoader("dsad_tools.prove", ""), PackageLoader("dsad_tools.report", "")]
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.loader = _first_of(loaders)
    groups = [(name, list(group)) for name, group in groupby(checks, key=lambda check: check.proof)]
    return environment.get_template("page.html.j2").render(
        groups=groups, facts=facts, failed=sum(not check.passed for check in checks), total=len(checks)
    )


def _first_of(loaders: list[PackageLoader]):
    from jinja2 import ChoiceLoader

    return ChoiceLoader(loaders)
