"""The picture of a model card: FROC curve and reliability diagram of held-out images."""

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsad_core.engines.manifest import Manifest, ScoreCalibration, ThresholdChoice
from dsad_tools.analysis.canvas import FAINT, INK, SERIES, new_figure, styled


def held_out_figure(manifest: Manifest) -> Figure:
    """What ``threshold_choice`` and ``calibration`` of a manifest say, side by side; one of them must be there."""
    drawn: list[tuple[Callable[[Axes, Any], None], Any]] = [
        (draw, part)
        for draw, part in ((_froc, manifest.threshold_choice), (_reliability, manifest.calibration))
        if part is not None
    ]
    with styled():
        figure = new_figure(4.2 * len(drawn), 3.7)
        for axes, (draw, part) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn):
            draw(axes, part)
        return figure


def _froc(axes: Axes, choice: ThresholdChoice) -> None:
    with_targets = [each for each in choice.sets if each.targets]
    for colour, each in zip(SERIES, with_targets):
        rates = sorted(each.pd_at)
        axes.plot(rates, [each.pd_at[rate] or 0.0 for rate in rates], color=colour, label=each.data_set)
        axes.plot(max(each.false_a_frame, rates[0]), each.pd or 0.0, "o", color=colour, markersize=4.5)
    axes.set_xscale("log")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("false alarms a frame")
    axes.set_ylabel("Pd")
    axes.set_title("found over false alarms (dots: at the threshold)", loc="left")
    axes.legend(loc="lower right", fontsize=8)


def _reliability(axes: Axes, calibration: ScoreCalibration) -> None:
    bins = calibration.reliability
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2)
    axes.plot([bin.score for bin in bins], [bin.true for bin in bins], "o-", color=SERIES[0], markersize=4)
    for bin in bins:
        axes.annotate(
            f"{bin.answers}",
            (bin.score, bin.true),
            xytext=(0, -11),
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
            color=INK,
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.06, 1.02)
    axes.set_xlabel("score")
    axes.set_ylabel("share that is true")
    axes.set_title("what a score is worth (numbers: answers)", loc="left")
