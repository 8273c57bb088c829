"""Latency figures of a run as inline SVG."""

import io
import re
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsad_tools.metrics.record import FrameRecord

INK, FAINT, ACCENT, MISSED = "#3b4754", "#dfe4ea", "#2f6fde", "#d9480f"

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def _styled(salt: str):
    settings: Any = {**_STYLE, "svg.hashsalt": salt}
    return matplotlib.rc_context(settings)


def latency_histogram(latencies_ms: np.ndarray) -> str:
    """Histogram of whole latencies with the median and the 99th percentile; "" without any."""
    if not latencies_ms.size:
        return ""
    with _styled("histogram"):
        figure, axes = _axes(5.0, 3.4)
        # The slowest frame may be a hundred medians away; the axis ends where the bulk does.
        end = min(float(latencies_ms.max()), 3 * float(np.percentile(latencies_ms, 99)))
        beyond = int((latencies_ms > end).sum())
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.hist(
            latencies_ms[latencies_ms <= end],
            bins=int(np.clip(2 * latencies_ms.size**0.5, 10, 60)),
            color=ACCENT,
            alpha=0.85,
            linewidth=0,
        )
        for percent, style in ((50, "-"), (99, "--")):
            value = float(np.percentile(latencies_ms, percent, method="inverted_cdf"))
            axes.axvline(
                value, color=INK, linewidth=0.9, linestyle=style, label=f"p{percent}  {value:.3g} ms"
            )
        axes.set_xlabel("latency, ms" + (f"   ({beyond} slower frames not shown)" if beyond else ""))
        axes.set_ylabel("frames")
        axes.grid(axis="x", visible=False)
        axes.margins(x=0.01)
        axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2)
        return _svg(figure, "histogram")


def latency_time_line(frames: list[FrameRecord]) -> str:
    """Latency of each frame over the frames' own time, missed frames marked; "" without any."""
    timed = [(n, frame.latency_ns / 1e6) for n, frame in enumerate(frames) if frame.latency_ns is not None]
    missed = [n for n, frame in enumerate(frames) if not frame.answered]
    if not timed and not missed:
        return ""
    seconds, label = _time_axis(frames)
    with _styled("timeline"):
        figure, axes = _axes(9.6, 2.4)
        axes.scatter(
            [seconds[n] for n, _ in timed],
            [milliseconds for _, milliseconds in timed],
            s=5,
            color=ACCENT,
            alpha=0.6,
            linewidths=0,
            # Thousands of vector dots would make the page heavy.
            rasterized=len(timed) > 1500,
        )
        axes.set_ylim(0, 1.08 * max((milliseconds for _, milliseconds in timed), default=1.0))
        if missed:
            axes.plot(
                [seconds[n] for n in missed],
                np.full(len(missed), 0.02),
                "|",
                transform=axes.get_xaxis_transform(),
                color=MISSED,
                markersize=9,
                markeredgewidth=1.0,
                label=f"{len(missed)} missed",
                clip_on=False,
            )
            axes.legend(
                frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0
            )
        axes.set_xlabel(label)
        axes.set_ylabel("latency, ms")
        axes.margins(x=0.01)
        return _svg(figure, "timeline")


def _time_axis(frames: list[FrameRecord]) -> tuple[np.ndarray, str]:
    """Seconds since the first frame, or the frame's number where stamps are no time line."""
    stamps = np.array([frame.stamp_ns for frame in frames], dtype=np.int64)
    span = int(stamps.max() - stamps.min())
    # Offline frames are numbered from 0; a looping bag runs over the same stamps again.
    if stamps.min() == 0 or span < 1_000_000 or len(np.unique(stamps)) < len(stamps):
        return np.arange(len(frames)), "frame"
    return (stamps - stamps.min()) / 1e9, "time since the first frame, s"


def _axes(width: float, height: float):
    figure = Figure(figsize=(width, height), layout="constrained", dpi=160)
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str) -> str:
    stream = io.StringIO()
    figure.savefig(
        stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = stream.getvalue()
    # The page's own colours, so that figures follow its light and dark.
    for colour, name_of in ((INK, "ink"), (FAINT, "line"), (ACCENT, "accent")):
        svg = svg.replace(colour, f"var(--{name_of})")
    # Two figures share a page: ids such as `axes_1` must not meet.
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(href="|url\()#([^")]+)', rf"\1#{name}-\2", svg)
    return svg[svg.index("<svg") :]
