"""What a benchmark found, as people read it."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dsad_tools.bench.machine import machine_line


def result_tables(report: dict[str, Any]) -> Iterator[Table]:
    """One table for each network, frame size and number of threads."""
    for _, entries in groupby(report["results"], _block):
        yield _result_table(list(entries))


def speedup_table(report: dict[str, Any]) -> Table | None:
    """Teachers beside their students; None where no network came in two widths."""
    if not report["speedups"]:
        return None
    table = _table("Teacher and student, ms at p50, and how many times faster the student is", "network")
    for heading in ("frame", "threads"):
        table.add_column(heading, justify="right")
    table.add_column("contender")
    for heading in ("teacher", "student", "speed-up"):
        table.add_column(heading, justify="right")
    last = None
    for entry in report["speedups"]:
        first = _block(entry) != last
        last = _block(entry)
        teacher, student = entry["widths"]
        labels = (f"{entry['network']} num{teacher} / num{student}", _frame(entry), str(entry["threads"]))
        table.add_row(
            *(labels if first else ("", "", "")),
            entry["contender"],
            *(f"{value:.2f}" for value in entry["milliseconds"]),
            f"{entry['speedup']:.2f}x",
        )
    return table


def footnotes(report: dict[str, Any]) -> Iterator[str]:
    """What ran, on what, and what the figures have to be read with."""
    for model in report["subjects"]:
        note = f"; {model['note']}" if model["note"] else ""
        yield (
            f"{model['name']}: SHA-256 {model['sha256'][:12]}, {model['parameters']:,} parameters, "
            f"{model['cost_gmac']:.2f} GMAC{note}"
        )
    ran = [entry for entry in report["results"] if "runtime" in entry]
    yield "; ".join(sorted({f"{entry['contender']}: {entry['runtime'].split(', ')[0]}" for entry in ran}))
    for entry in ran:
        if entry["cold_failure"]:
            yield (
                f"{entry['network']}, {_frame(entry)}: {entry['contender']} did not start in a process of "
                f"its own: {entry['cold_failure']}"
            )
    yield machine_line(report["machine"])


def _result_table(entries: list[dict[str, Any]]) -> Table:
    head = entries[0]
    threads = f"{head['threads']} thread{'s' if head['threads'] > 1 else ''}"
    bound = next((entry["bound_ms"] for entry in entries if entry.get("bound_ms")), None)
    title = f"{head['network']}, {_frame(head)}, {threads}"
    if bound:
        title += f"; bound of direct convolution {bound:.2f} ms"
    table = _table(title, "contender")
    headings = ("speed", "p50 ms", "p25-p75", "p99", "/ bound", "mask px", "logits", "start s", "MiB")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    if any("reason" in entry for entry in entries):
        table.add_column("why not", overflow="fold")
    for entry in entries:
        if "reason" in entry:
            table.add_row(entry["contender"], *[""] * len(headings), entry["reason"], style="dim")
            continue
        figures, agreement, cold = entry["milliseconds"], entry["agreement"], entry["cold_start"]
        table.add_row(
            entry["contender"],
            f"{entry['ratio']:.2f}x",
            f"{figures['p50']:.2f}",
            "{:.2f}-{:.2f}".format(*entry["quartiles"]),
            f"{figures['p99']:.2f}",
            "" if entry["over_bound"] is None else f"{entry['over_bound']:.2f}",
            *(("", "") if entry["baseline"] else _agreement(agreement)),
            *(("", "") if cold is None else (f"{cold['start_ms'] / 1e3:.2f}", f"{cold['memory_mib']:.0f}")),
        )
    return table


def _agreement(agreement: dict[str, Any]) -> tuple[str, str]:
    pixels = f"{agreement['differing']}/{agreement['mask_pixels']}"
    return pixels, f"{agreement['largest_logit_difference']:.1e}"


def _table(title: str, first: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column(first, no_wrap=True)
    return table


def _block(entry: dict[str, Any]) -> tuple:
    return entry["network"], entry["width"], entry["height"], entry["threads"]


def _frame(entry: dict[str, Any]) -> str:
    return f"{entry['width']}x{entry['height']}"
