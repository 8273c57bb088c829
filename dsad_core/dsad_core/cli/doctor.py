"""``dsad doctor``: what this machine can run, and what is missing for the rest."""

import contextlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from dsad_core.engines.backends import check_platform
from dsad_core.engines.locate import ROLES, engine_for, engine_roots, list_engines
from dsad_core.engines.manifest import load_manifest
from dsad_core.engines.platform import PLATFORMS
from dsad_core.errors import EngineError
from dsad_core.hardware import Finding
from dsad_core.machine import machine_facts


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what this machine can run and what is missing for each target."""
    report: dict[str, Any] = {"machine": machine_facts(), "targets": _platforms(), "engines": _engines()}
    if as_json:
        print(json.dumps(report, indent=2))
        return
    console = Console()
    console.print(_machine_table(report["machine"]))
    console.print(_platform_table(report["targets"]))
    console.print(_engine_table(report["engines"]))
    if not report["engines"]:
        roots = ", ".join(map(str, engine_roots())) or "no engine folder; set DSAD_ENGINES to one"
        console.print(f"No engine found in {roots}.")


def _platforms() -> list[dict]:
    return [_platform(platform) for platform in PLATFORMS]


def _platform(platform: str) -> dict:
    check = check_platform(platform)
    return {
        "target": platform,
        "runs": check.usable[0] if check.usable else None,
        "device": _findings(check.device),
        "backends": {name: _findings(findings) for name, findings in check.backends.items()},
    }


def _findings(findings: list[Finding]) -> list[dict]:
    return [vars(finding) for finding in findings]


def _engines() -> list[dict]:
    chosen = {}
    for role in ROLES:
        with contextlib.suppress(EngineError):
            chosen[role] = engine_for(role)
    return [_engine(folder, [role for role in chosen if chosen[role] == folder]) for folder in list_engines()]


def _engine(folder: Path, roles: list[str]) -> dict:
    entry = {"name": folder.name, "folder": str(folder), "roles": roles}
    try:
        manifest = load_manifest(folder)
    except EngineError as error:
        return entry | {"ok": False, "detail": str(error)}
    width = f" num{manifest.width}" if manifest.width else ""
    detail = f"{manifest.network}{width}, {manifest.parameters:,} parameters, {manifest.cost_gmac:.2f} GMAC"
    return entry | {"ok": True, "detail": detail}


def _machine_table(machine: dict) -> Table:
    table = Table("", Column("this machine", overflow="fold"), title="Machine", title_justify="left")
    for key, value in machine.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        table.add_row(key.replace("_", " "), escape(text) or "none")
    return table


def _platform_table(targets: list[dict]) -> Table:
    table = Table(
        "target",
        "runs here",
        "backend",
        "needs",
        Column("found, or how to get it", overflow="fold"),
        title="Targets",
        title_justify="left",
    )
    for entry in targets:
        verdict = f"[green]{entry['runs']}[/]" if entry["runs"] else "[red]no[/]"
        rows = [("all", finding) for finding in entry["device"]]
        rows += [(name, finding) for name, findings in entry["backends"].items() for finding in findings]
        for number, (backend, finding) in enumerate(rows):
            mark = "[green]✓[/]" if finding["ok"] else "[red]✗[/]"
            first = number == 0
            table.add_row(
                entry["target"] if first else "",
                verdict if first else "",
                backend,
                f"{mark} {finding['what']}",
                escape(finding["hint"]),
                end_section=number == len(rows) - 1,
            )
    return table


def _engine_table(engines: list[dict]) -> Table:
    table = Table(
        "engine",
        "manifest",
        Column("what it is, or what is wrong", overflow="fold"),
        Column("folder", overflow="fold"),
        title="Engines",
        title_justify="left",
    )
    for entry in engines:
        name = f"{entry['name']} ({', '.join(entry['roles'])})" if entry["roles"] else entry["name"]
        verdict = "[green]agrees[/]" if entry["ok"] else "[red]refused[/]"
        table.add_row(name, verdict, escape(entry["detail"]), escape(entry["folder"]))
    return table
