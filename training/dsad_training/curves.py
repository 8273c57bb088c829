"""The learning curves of runs as a figure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from dsad_tools.analysis.canvas import SERIES, new_figure, styled
from dsad_training.checkpoint import CheckpointError, load_weights
from dsad_training.display import LOG_FILE

#: A run's task loss is the mean over this share of its log, else nobody sees the runs for their noise.
SMOOTHED = 0.05
LEGEND_LETTERS = 90  # that stand beside each other, each name taking 8 more for its line
DASHES = ("-", "--", "-.")


@dataclass(frozen=True)
class Curve:
    """What one run's log says.

    Attributes:
        name: the run's folder.
        loss: (256x256 crops' worth of pixels seen, task loss of the training batches).
        iou: (the same, IoU on the validation part, 0 to 1); empty for a run without one.
        phases: where phases end, in the same unit.
    """

    name: str
    loss: list[tuple[float, float]]
    iou: list[tuple[float, float]]
    phases: list[float]


def read_curve(run: Path) -> Curve:
    """Read a run's folder.

    Raises:
        CheckpointError: its log or weights are missing or not a run's.
    """
    recipe = load_weights(run)[1]
    try:
        records = [json.loads(line) for line in (run / LOG_FILE).read_text().splitlines()]
        # A run that was killed wrote some steps that its next call wrote again: the later ones count.
        losses = {recipe.pixels(each["step"]): each["task"] for each in records if "task" in each}
        scores = {
            recipe.pixels(each["step"]): each["validation"]["iou"] for each in records if "validation" in each
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(f"{run / LOG_FILE}: missing, or not the log of a run") from None
    if not losses:
        raise CheckpointError(f"{run / LOG_FILE}: the run has logged no step yet")

    def ordered(values: dict[int, float]) -> list[tuple[float, float]]:
        return [(pixels / 256**2, value) for pixels, value in sorted(values.items())]

    ends = [sum(phase.steps for phase in recipe.phases[:n]) for n in range(1, len(recipe.phases))]
    return Curve(
        run.resolve().name, ordered(losses), ordered(scores), [recipe.pixels(step) / 256**2 for step in ends]
    )


def curve_figure(curves: Sequence[Curve]) -> Figure:
    """Task loss and validation IoU over what was seen, all runs in one figure.

    Losses of different phases are not to be compared: small crops hold more target for each pixel.
    """
    with styled():
        columns = max(1, min(3, LEGEND_LETTERS // (8 + max(len(curve.name) for curve in curves))))
        rows = -(-len(curves) // columns)
        figure = new_figure(7.2, 2.9 + 0.18 * rows)
        loss, score = figure.subplots(1, 2, sharex=True)
        # Where the colours begin anew the lines are broken in another way.
        for curve, (dashes, colour) in zip(curves, cycle(product(DASHES, SERIES))):
            loss.plot(*zip(*smoothed(curve.loss)), color=colour, linestyle=dashes, label=curve.name)
            if curve.iou:
                score.plot(*zip(*curve.iou), color=colour, linestyle=dashes, marker="o", markersize=3)
            for end in curve.phases:
                for axes in (loss, score):
                    axes.axvline(end, color=colour, linewidth=0.5, linestyle=":")
        _finish(loss, "task loss, training batches")
        _finish(score, "IoU, validation part")
        score.set_ylim(0, 1)
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_major_formatter("{x:g}")
        loss.yaxis.set_minor_formatter("")
        # Below the axes, since curves may run anywhere.
        figure.legend(loc="outside lower left", ncols=columns)
    return figure


def smoothed(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each value the mean of its neighbours within ``SMOOTHED`` of the list."""
    reach = max(1, round(SMOOTHED * len(points))) // 2
    values = [value for _, value in points]
    windows = [values[max(0, i - reach) : i + reach + 1] for i in range(len(values))]
    return [(x, sum(window) / len(window)) for (x, _), window in zip(points, windows)]


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel("pixels seen, in 256x256 images")
    axes.set_xlim(left=0)
