"""The results of ``dsad bench pipeline`` as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.table import Table

from dsad_core.frame.timing import STAGES
from dsad_replay.bench.timings import Case, Timings

#: One colour a stage, inference in grey: the picture is about everything else.
COLOURS = ("#9ecae1", "#3182bd", "#31a354", "#c7c7c7", "#e6550d", "#756bb1")


def summary_table(results: Mapping[Case, Timings]) -> Table:
    """Rates, drops and latency, one row a case."""
    table = _table("", "sent", "dropped", "lost", "Hz", "engine Hz", "ratio", "p50 ms", "p95", "p99", "max")
    for case, timings in results.items():
        figures = timings.summary()
        latency = figures["milliseconds"]["latency"]
        table.add_row(
            case.title,
            *(str(figures[name]) for name in ("sent", "dropped", "lost")),
            *(_figure(figures[name], ".1f") for name in ("rate", "engine_rate")),
            _figure(figures["rate_ratio"], ".2f"),
            *(f"{latency[name]:.2f}" for name in ("p50", "p95", "p99", "max")),
        )
    return table


def stage_table(results: Mapping[Case, Timings]) -> Table:
    """Where the time of a frame goes: p50 and p99 of every stage in milliseconds."""
    names = [*STAGES, "overhead"]
    table = _table("p50 / p99 ms", *names)
    for case, timings in results.items():
        spans = timings.summary()["milliseconds"]
        table.add_row(case.title, *(f"{spans[name]['p50']:.2f}/{spans[name]['p99']:.2f}" for name in names))
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def draw(results: Mapping[Case, Timings], title: str, path: Path) -> None:
    """PNG: medians of the stages stacked, and the distribution of the latency, for every case."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter

    cases = list(results)
    figure, (bars, curves) = pyplot.subplots(
        1, 2, figsize=(13, 3 + 0.4 * len(cases)), layout="constrained", gridspec_kw={"width_ratios": (3, 2)}
    )
    left = np.zeros(len(cases))
    for stage, colour in zip(STAGES, COLOURS):
        medians = np.array([results[case].stage(stage).p50 for case in cases])
        bars.barh([case.title for case in cases], medians, left=left, color=colour, label=stage)
        left += medians
    bars.invert_yaxis()
    bars.set(xlabel="median, ms", title="Where a frame's time goes")
    for case in cases:
        latency = np.sort(results[case].durations("received", "published")) / 1e6
        curves.step(latency, np.arange(1, len(latency) + 1) / len(latency), where="post", label=case.title)
    curves.set(xscale="log", xlabel="receive to publish, ms", ylabel="share of frames", ylim=(0, 1.02))
    curves.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    curves.xaxis.set_major_formatter("{x:g}")
    curves.xaxis.set_minor_formatter(NullFormatter())
    curves.set_title("Latency")
    curves.grid(alpha=0.3)
    for axes, columns in ((bars, 3), (curves, 2)):
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.15), ncol=columns, fontsize="small", frameon=False
        )
    figure.suptitle(title, fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
