"""The look that all figures share, and how a figure becomes a PNG."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

INK, FAINT = "#26303b", "#d9dee5"
#: Okabe and Ito's colours: told apart by colour-blind readers.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DPI = 200

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
}


def styled(more: Mapping[str, object] | None = None):
    """Context in which a figure is built, with ``more`` settings; those of the process stay as they were."""
    settings: Any = {**STYLE, **(more or {})}
    return matplotlib.rc_context(settings)


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure, inches, that belongs to no window system."""
    figure = Figure(figsize=(width, height), layout=layout, dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def stacked(figure: Figure, heights: Sequence[float]) -> list[SubFigure]:
    """Parts of a figure, two or more, one below the other, of these relative heights."""
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    return list(parts)


def png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def stretched(image: np.ndarray) -> np.ndarray:
    """The frame as float32 in [0, 1], its extreme percentiles cut so that it can be seen at all."""
    low, high = (float(value) for value in np.percentile(image, (0.5, 99.9)))
    return np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0.0, 1.0)


def wrapped(label: str, inches: float) -> str:
    """A label in lines that fit into a height or width, broken at hyphens and spaces where possible."""
    return "\n".join(textwrap.wrap(label, max(6, int(inches / 0.075))))


def show(axes, picture: np.ndarray) -> None:
    """A grey picture in [0, 1] without axes, pixels as squares."""
    axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    # Frames of several shapes side by side hang from one line.
    axes.set_anchor("N")
    for spine in axes.spines.values():
        spine.set_visible(False)
