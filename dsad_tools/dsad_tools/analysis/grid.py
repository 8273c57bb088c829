"""The same frames answered by several engines, side by side, as in the paper's Figure 9."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from dsad_core.components import find_components
from dsad_tools.analysis.canvas import INK, new_figure, show, stacked, stretched, styled, wrapped
from dsad_tools.analysis.marks import LINES, WORDS, Mark, draw_marks, find_marks
from dsad_tools.analysis.study import Study, View

CLOSE_UP = "#4cc9f0"
OUTLINES = {"truth": CLOSE_UP, "prediction": "#ff8c42"}
INSET = 0.42
"""Side of the close-up, as a share of the frame's shorter side."""

PANEL = 1.62
"""Width of a panel, inches."""

LEGEND = 0.45
"""Height of the legend with its caption, inches."""

CLOSE = {
    f"figure.constrained_layout.{gap}": value
    for gap, value in (("w_pad", 0.015), ("h_pad", 0.015), ("wspace", 0.01), ("hspace", 0.01))
}
"""Settings for panels that stand close together."""


@dataclass(frozen=True, slots=True)
class Window:
    """A square of the frame, pixels: its top left corner and its side."""

    left: float
    top: float
    side: float

    def holds(self, x: float, y: float, margin: float) -> bool:
        return (
            self.left - margin < x < self.left + self.side + margin
            and self.top - margin < y < self.top + self.side + margin
        )


def grid(study: Study) -> Figure:
    """Rows: the frames, their truth, each engine's mask at its own threshold. Columns: the frames.

    Detected targets are circled red, false alarms yellow, misses dashed green. Each column has one
    close-up of the target on which the engines differ most, with the truth's outline in it.
    """
    names = ["input", "truth", *(engine.label for engine in study.engines)]
    height = PANEL * max(view.image.shape[0] / view.image.shape[1] for view in study.views)
    with styled(CLOSE):
        heights = (height * len(names) + 0.1, LEGEND)
        figure = new_figure(0.3 + PANEL * len(study.views), sum(heights))
        above, below = stacked(figure, heights)
        panels = above.subplots(len(names), len(study.views), squeeze=False)
        for column, view in zip(panels.T, study.views):
            _column(column, view, study)
        for axes, name in zip(panels[:, 0], names):
            axes.set_ylabel(wrapped(name, height), fontsize=8.5)
        add_legend(below, study.caption, ("truth",))
        return figure


def add_legend(place: FigureBase, caption: str, outlines: tuple[str, ...] = ()) -> None:
    """At the foot: what the circles and the outlines in close-ups mean, and where the data is from.

    It wants `LEGEND` inches without panels there, most simply a part of the figure of its own: matplotlib before
    3.7, which Ubuntu 24.04 has, cannot place a legend outside of panels.
    """
    handles = [
        Line2D(
            [],
            [],
            marker="o",
            markersize=8,
            linestyle="none",
            markerfacecolor="none",
            markeredgecolor=LINES[outcome]["edgecolor"],
            markeredgewidth=1.4,
            label=WORDS[outcome],
        )
        for outcome in ("hit", "false")
    ]
    # A marker's edge cannot be dashed: the line itself shows the dashes.
    handles.append(
        Line2D(
            [],
            [],
            color=LINES["missed"]["edgecolor"],
            linestyle=LINES["missed"]["linestyle"],
            linewidth=1.6,
            label=WORDS["missed"],
        )
    )
    handles += [
        Line2D([], [], color=OUTLINES[name], linewidth=1.2, label=f"outline: {name}") for name in outlines
    ]
    place.legend(
        handles=handles,
        loc="lower center",
        ncol=len(handles),
        fontsize=8,
        labelcolor=INK,
        handletextpad=0.5,
        title=caption,
        title_fontsize=7.5,
    )


def _column(panels, view: View, study: Study) -> None:
    masks = {engine.label: view.masks[engine.label] for engine in study.engines}
    marks = {label: find_marks(mask, view.truth, study.matching) for label, mask in masks.items()}
    window = focus(view.truth, list(masks.values()), list(marks.values()))
    corner = window and free_corner(view, window, [mark for row in marks.values() for mark in row])
    truth = [Mark("hit", mark.x, mark.y, mark.reach) for mark in find_marks(view.truth, view.truth)]
    picture = stretched(view.image)
    rows = [(picture, []), (view.truth != 0, truth), *((masks[label], marks[label]) for label in masks)]
    for axes, (image, circles) in zip(panels, rows):
        show(axes, image)
        draw_marks(axes, circles, min(view.image.shape))
        if window and corner:
            add_close_up(axes, image, {"truth": view.truth}, window, corner)
    if window:
        # Once is enough: below, circles stand in the same place.
        draw_window(panels[0], window)
    panels[0].set_title(view.name, fontsize=8, pad=2)


def focus(truth: np.ndarray, masks: list[np.ndarray], marks: list[list[Mark]]) -> Window | None:
    """The surroundings of the target that most engines miss, and of these the one drawn most differently."""
    targets = find_components(truth)
    if not len(targets):
        return None

    def disagreement(number: int) -> tuple[int, int]:
        x, y = targets.centroids[number]
        missed = sum(mark.outcome == "missed" and (mark.x, mark.y) == (x, y) for row in marks for mark in row)
        left, top, width, height = targets.boxes[number]
        near = np.s_[max(top - 3, 0) : top + height + 3, max(left - 3, 0) : left + width + 3]
        return missed, sum(int(np.count_nonzero((mask[near] != 0) != (truth[near] != 0))) for mask in masks)

    number = max(range(len(targets)), key=disagreement)
    x, y = targets.centroids[number]
    height, width = truth.shape
    return window_around(x, y, max(targets.boxes[number][2:]), (height, width))


def window_around(x: float, y: float, extent: float, shape: tuple[int, int]) -> Window:
    """A square around a target of some extent, kept inside the frame where the frame is large enough."""
    height, width = shape
    side = float(min(max(24, math.ceil(2.2 * extent)), height, width))
    left = min(max(round(x - side / 2), 0), width - side)
    top = min(max(round(y - side / 2), 0), height - side)
    return Window(left - 0.5, top - 0.5, side)


def draw_window(axes, window: Window) -> None:
    """Show in the panel what its close-up enlarges."""
    axes.add_patch(
        Rectangle(
            (window.left, window.top), window.side, window.side, fill=False, edgecolor=CLOSE_UP, linewidth=0.7
        )
    )


def add_close_up(
    axes, image: np.ndarray, outlined: dict[str, np.ndarray], window: Window, corner: tuple[bool, bool]
) -> None:
    """Enlarge a window of the panel into one of its corners (right or left, bottom or top).

    Args:
        image: (H, W) in [0, 1].
        outlined: masks (H, W) by their key in `OUTLINES`.
    """
    height, width = image.shape
    side = INSET * min(height, width)
    right, bottom = corner
    box = [
        (1 - side / width) if right else 0.0,
        0.0 if bottom else 1 - side / height,
        side / width,
        side / height,
    ]
    inset = axes.inset_axes(box)
    inset.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    for name, mask in outlined.items():
        _outline(inset, mask, OUTLINES[name])
    inset.set_xlim(window.left, window.left + window.side)
    inset.set_ylim(window.top + window.side, window.top)
    inset.set_xticks([])
    inset.set_yticks([])
    inset.grid(False)
    for spine in inset.spines.values():
        spine.set(visible=True, color=CLOSE_UP, linewidth=1.0)


def _outline(axes, mask: np.ndarray, colour: str) -> None:
    """The edges of the mask's pixels, exactly."""
    padded = np.pad(mask != 0, 1)
    level, upright = padded[1:, 1:-1] != padded[:-1, 1:-1], padded[1:-1, 1:] != padded[1:-1, :-1]
    for edges, (run, rise) in ((level, (1, 0)), (upright, (0, 1))):
        rows, columns = np.nonzero(edges)
        x, y = columns - 0.5, rows - 0.5
        axes.plot(
            np.stack([x, x + run]),
            np.stack([y, y + rise]),
            color=colour,
            linewidth=0.8,
            solid_capstyle="projecting",
        )


def free_corner(view: View, window: Window, marks: list[Mark]) -> tuple[bool, bool]:
    """The corner whose close-up hides the fewest circles, and never the window it enlarges."""
    height, width = view.truth.shape
    side = INSET * min(height, width)

    def hidden(corner: tuple[bool, bool]) -> tuple[bool, int]:
        right, bottom = corner
        place = Window(width - side if right else 0, height - side if bottom else 0, side)
        middle = window.left + window.side / 2, window.top + window.side / 2
        return (
            place.holds(*middle, window.side / 2),
            sum(place.holds(mark.x, mark.y, 0.06 * min(height, width)) for mark in marks),
        )

    return min([(True, True), (True, False), (False, True), (False, False)], key=hidden)
