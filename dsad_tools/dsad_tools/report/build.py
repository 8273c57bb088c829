"""``metrics.json`` and a self-contained ``report.html`` from a finished run."""

import json
from pathlib import Path
from typing import Any

import jinja2

from dsad_core import __version__
from dsad_core.files import write_atomic
from dsad_core.frame.timing import STAGES, TOTAL
from dsad_tools.metrics.record import RunRecord
from dsad_tools.metrics.track_run import track_rows
from dsad_tools.report.figures import latency_histogram, latency_time_line
from dsad_tools.report.frames import view_frame
from dsad_tools.report.player import GALLERY_MOST, KINDS, film_json
from dsad_tools.report.tracks import TRACKS_FILE, build_track_report

JSON_FILE = "metrics.json"
HTML_FILE = "report.html"


def build_report(out_dir: str | Path, run: RunRecord) -> Path:
    """Write ``metrics.json`` and ``report.html`` into a folder, which is made if it is missing; ``tracks.html`` too
    where the run has tracks.

    Each file is written aside and renamed: a reader sees the last report or this one.

    Returns:
        Path of the page. It holds its pictures and needs no network.
    """
    folder = Path(out_dir)
    write_json(folder / JSON_FILE, run)
    if run.tracks is not None:
        build_track_report(folder, run.tracks)
    write_atomic(folder / HTML_FILE, render(run))
    return folder / HTML_FILE


def write_json(path: str | Path, run: RunRecord) -> None:
    """Write all of a run but its pictures. A figure without a value is ``null``."""
    write_atomic(path, json.dumps(run.to_dict(), indent=1, allow_nan=False) + "\n")


def render(run: RunRecord) -> str:
    """The page as HTML text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dsad_tools", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["figure"] = _figure
    environment.filters["significant"] = _significant
    environment.filters["moment"] = _moment
    environment.filters["milliseconds"] = _milliseconds
    environment.filters["count"] = lambda value: f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    slowest = max((figures.p50 for stage, figures in run.latency.items() if stage != TOTAL), default=0.0)
    return environment.get_template("report.html.j2").render(
        run=run,
        result=run.result,
        facts=_facts(run),
        counters={_words(name): value for name, value in run.counters.items()},
        stages=[(stage, run.latency[stage]) for stage in (*STAGES, TOTAL) if stage in run.latency],
        total=run.latency.get(TOTAL),
        slowest_stage=slowest,
        histogram=latency_histogram(run.latencies_ms),
        time_line=latency_time_line(run.frames),
        views=[view_frame(picture) for picture in run.pictures],
        film=film_json(run.film),
        film_frames=len(run.film),
        gallery_most=GALLERY_MOST,
        kinds=KINDS,
        track_rows=track_rows(run.tracks) if run.tracks else [],
        tracks_file=TRACKS_FILE,
        version=__version__,
    )


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    facts, machine = run.facts, run.facts.machine
    rows: list[tuple[str, Any]] = [
        ("Engine", facts.engine),
        ("ONNX SHA-256", facts.engine_sha256[:16]),
        ("Platform", facts.platform),
        ("Runtime", facts.runtime),
        ("Precision", facts.precision),
        ("Self-test", facts.self_test),
        ("Threshold", facts.thresholds),
        ("Matching", facts.matching),
        ("Source", facts.source),
        ("Split", " ".join(filter(None, [facts.split, facts.split_hash and f"({facts.split_hash})"]))),
        ("Started", _moment(facts.started)),
        ("Processor", machine and f"{machine.get('cpu', '')}, {machine.get('cores', '?')} cores"),
        ("Accelerator", machine.get("accelerator", "")),
        ("System", machine.get("system", "")),
    ]
    return [(name, value) for name, value in rows if value]


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _figure(value: float | None, scale: float = 1.0, digits: int = 4) -> str:
    return "\N{EN DASH}" if value is None else f"{value * scale:.{digits}f}"


def _significant(value: float | None, scale: float = 1.0) -> str:
    if value is None:
        return "\N{EN DASH}"
    scaled = value * scale
    return f"{scaled:.3g}" if scaled < 100 else f"{scaled:.0f}"


def _milliseconds(value: float) -> str:
    """To the microsecond, and no wider than a phone's column has room for."""
    return f"{value:.3f}" if value < 100 else f"{value:.1f}" if value < 10_000 else f"{value:.0f}"


def _moment(iso: str) -> str:
    return iso.replace("T", " ").replace("+00:00", " UTC")
