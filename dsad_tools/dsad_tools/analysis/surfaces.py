"""Probability as a surface over the image plane, as in the paper's Figure 10."""

from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from dsad_tools.analysis.canvas import new_figure, stretched, styled, wrapped
from dsad_tools.analysis.grid import add_legend
from dsad_tools.analysis.marks import LINES, Mark, find_marks
from dsad_tools.analysis.study import Study, View

SIDE = 96
"""Most grid cells along a side of a surface; larger frames are reduced by their maximum, peaks stay."""

ANSWER = LinearSegmentedColormap.from_list("answer", ["#14213d", "#1f6f9f", "#6fdcff"])
"""Dark to bright blue: the pins' red, yellow and green stand out everywhere on it."""

TOP = 1.25
PANEL = 1.9


def surfaces(study: Study) -> Figure:
    """Rows: the grey levels, the truth, each engine's probability. Columns: the frames of the grid.

    On every target stands a pin: red where the engine's mask has it, dashed green where not. False
    alarms have a yellow one.
    """
    names = ["input", "truth", *(engine.label for engine in study.engines)]
    with styled():
        figure = new_figure(0.5 + PANEL * len(study.views), 0.75 + 0.84 * PANEL * len(names), layout=None)
        rows, columns = len(names), len(study.views)
        width, height = figure.get_size_inches()
        left, right = 0.36 / width, 1 - 0.22 / width
        top, bottom = 1 - 0.2 / height, 0.5 / height
        for column, view in enumerate(study.views):
            for row, name in enumerate(names):
                cell = [
                    left + column * (right - left) / columns,
                    top - (row + 1) * (top - bottom) / rows,
                    (right - left) / columns,
                    (top - bottom) / rows,
                ]
                # The drawing leaves a wide margin around the box; let the cells overlap by it.
                grown = [cell[0] - 0.08 * cell[2], cell[1] - 0.12 * cell[3], 1.16 * cell[2], 1.24 * cell[3]]
                axes: Any = figure.add_axes(tuple(grown), projection="3d", computed_zorder=False)
                axes.patch.set_visible(False)
                # The labels at a panel's right edge lie over its neighbour.
                axes.set_zorder(columns - column)
                _panel(axes, name, view, study)
                if not column:
                    figure.text(
                        0.5 * left,
                        cell[1] + cell[3] / 2,
                        wrapped(name, cell[3] * height),
                        rotation=90,
                        ha="center",
                        va="center",
                        fontsize=8.5,
                    )
            figure.text(
                left + (column + 0.5) * (right - left) / columns,
                top,
                view.name,
                ha="center",
                va="bottom",
                fontsize=8,
            )
        add_legend(figure, study.caption)
        return figure


def _panel(axes, name: str, view: View, study: Study) -> None:
    if name == "input":
        _surface(axes, stretched(view.image), matplotlib.colormaps["gray"])
        return
    engine = next((engine for engine in study.engines if engine.label == name), None)
    values = view.probability[name] if engine else (view.truth != 0).astype(np.float32)
    _surface(axes, values, ANSWER)
    if engine:
        for mark in find_marks(view.masks[name], view.truth, study.matching):
            line = LINES[mark.outcome]
            axes.plot(
                [mark.x] * 2,
                [mark.y] * 2,
                [_peak(values, mark), TOP],
                color=line["edgecolor"],
                linestyle=line["linestyle"],
                linewidth=1.0,
                zorder=5,
            )
            axes.plot([mark.x], [mark.y], [TOP], "o", color=line["edgecolor"], markersize=3.0, zorder=6)


def _peak(values: np.ndarray, mark: Mark) -> float:
    """Height of the surface around a mark, where its pin begins."""
    reach = int(np.ceil(mark.reach))
    y, x = round(mark.y), round(mark.x)
    return float(values[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1].max())


def _surface(axes, values: np.ndarray, colours: Colormap) -> None:
    height, width = values.shape
    step = max(1, -(-max(height, width) // SIDE))
    # The maximum of each block, not its mean: a target of a few pixels keeps its height.
    peaks = cv2.dilate(values, np.ones((step, step), np.uint8), anchor=(0, 0))[::step, ::step]
    y, x = np.mgrid[0:height:step, 0:width:step]
    # A face takes the colour of its highest corner; by its mean, a target of one cell would look half sure.
    highest = cv2.dilate(peaks, np.ones((2, 2), np.uint8), anchor=(0, 0))
    axes.plot_surface(
        x,
        y,
        peaks,
        facecolors=colours(highest),
        rcount=SIDE,
        ccount=SIDE,
        linewidth=0,
        antialiased=False,
        shade=False,
        zorder=1,
    )
    axes.set(xlim=(0, x.max()), ylim=(y.max(), 0), zlim=(0, TOP), xticks=(), yticks=(), zticks=(0, 0.5, 1))
    axes.set_box_aspect((1, height / width, 0.55))
    axes.view_init(elev=32, azim=-62)
    axes.tick_params(labelsize=5.5, pad=-4)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_facecolor("#e9edf2")
        axis.pane.set_edgecolor("#c4ccd6")
    axes.grid(False)
