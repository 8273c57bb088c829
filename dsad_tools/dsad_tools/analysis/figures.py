"""Curves over the threshold: Pd over Fa, and every metric over the threshold itself."""

import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator

from dsad_core.metrics import DetectionResult
from dsad_tools.analysis.canvas import INK, SERIES, new_figure, styled
from dsad_tools.analysis.study import EngineStudy, Study

#: Marks on the threshold axis.
TICKS = {
    1e-5: "$10^{-5}$",
    1e-3: "0.001",
    0.05: "0.05",
    0.5: "0.5",
    0.95: "0.95",
    0.999: "0.999",
    1 - 1e-5: "$1-10^{-5}$",
}
#: False alarms a frame at which the FROC curve ends.
FROC_END = 10.0
FA_END = 1e-2
"""Operating points of the ROC end here: with more than a false pixel in a hundred, masks are one blot."""


def roc(study: Study) -> Figure:
    """Pd over Fa, a line for each engine from its highest threshold to its lowest; a ring at its own.

    Fa is on a logarithmic axis. Where it is 0 the point sits on the left edge, which is labelled so. Fa
    counts whole components: where one grows until its centroid leaves the target, Pd falls and Fa rises
    at once, so the line may bend back. Thresholds above every answer are left out: a network whose
    answers end at one value has no point between the empty mask and what it then detects.
    """
    zero = _zero_level(study)
    with styled():
        figure = new_figure(5.4, 4.1)
        axes = figure.add_subplot()
        ring: dict[str, Any] = {
            "marker": "o",
            "markersize": 8,
            "markerfacecolor": "none",
            "markeredgewidth": 1.6,
            "linestyle": "none",
        }
        for series, engine in enumerate(study.engines):
            colour = SERIES[series % len(SERIES)]
            points = _operating_points(engine)
            fa, pd = [_fa(result, zero) for result in points], [result.pd or 0.0 for result in points]
            axes.plot(fa, pd, color=colour, marker=".", markersize=3.5, label=engine.label)
            own = engine.own.result
            if own.targets:
                axes.plot(_fa(own, zero), own.pd or 0.0, color=colour, **ring)
        axes.plot([], [], color=INK, label="own threshold", **ring)
        axes.set_xscale("log")
        # Room for a decade at least, else its axis would have no label.
        left, right = axes.get_xlim()
        axes.set_xlim(left, max(right, 12 * left))
        _label_zero(axes, zero)
        axes.set_xlabel("Fa, false pixels / all pixels")
        axes.set_ylabel("Pd, targets detected / targets")
        axes.legend(loc="lower right", fontsize=8)
        axes.set_title(study.caption, fontsize=8, loc="left")
        return figure


def froc(study: Study) -> Figure:
    """Pd over false alarms a frame, a line for each engine; every local maximum of the logits is an answer.

    The axis of the rate is logarithmic and ends at 10. A line starts at one false alarm in all frames.
    """
    with styled():
        figure = new_figure(5.4, 4.1)
        axes = figure.add_subplot()
        for series, engine in enumerate(study.engines):
            rates, pd = engine.froc.curve()
            shown = rates <= FROC_END
            auc = engine.froc.result().auc
            label = engine.label if auc is None else f"{engine.label} (AUC {auc:.3f})"
            axes.step(rates[shown], pd[shown], where="post", color=SERIES[series % len(SERIES)], label=label)
        axes.set_xscale("log")
        axes.set_xlim(min(0.01, 1 / study.frames), FROC_END)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("false alarms a frame")
        axes.set_ylabel("Pd, targets with a peak within 5 px / targets")
        axes.legend(loc="lower right", fontsize=8)
        axes.set_title(study.caption, fontsize=8, loc="left")
        return figure


def _operating_points(engine: EngineStudy) -> list[DetectionResult]:
    points = [point.result for point in engine.points if point.result.targets and point.result.predictions]
    return [result for result in points if _fa(result) <= FA_END] or points


def _fa(result: DetectionResult, least: float = 0.0) -> float:
    """Fa of a set that has frames, at ``least`` so much."""
    return max(result.fa or 0.0, least)


def thresholds(study: Study) -> Figure:
    """IoU, nIoU and Pd over the threshold, Fa below; a column for each engine, its own threshold marked.

    The threshold axis is even in the logit: half of it lies below 0.05 and above 0.95, where the answers
    of a trained network are.
    """
    zero = _zero_level(study)
    with styled():
        figure = new_figure(0.6 + 3.7 * len(study.engines), 4.6)
        rows = figure.subplots(
            2,
            len(study.engines),
            sharex=True,
            sharey="row",
            squeeze=False,
            gridspec_kw={"height_ratios": (1.7, 1.0)},
        )
        for column, engine in enumerate(study.engines):
            _ratios(rows[0, column], engine)
            _false_alarms(rows[1, column], engine, zero)
        # Shared by the columns, so only once all of them have drawn.
        rows[1, 0].set_ylim(bottom=zero * 0.8)
        _label_zero(rows[1, 0], zero, "yaxis")
        rows[0, 0].set_ylabel("ratio")
        rows[1, 0].set_ylabel("Fa")
        rows[0, 0].legend(*rows[0, 0].get_legend_handles_labels(), loc="lower left", fontsize=8)
        figure.suptitle(study.caption, fontsize=8, x=0.01, ha="left")
        return figure


def _ratios(axes, engine: EngineStudy) -> None:
    logit = _logits(engine)
    own = engine.own.result
    for name, colour, style in (("pd", SERIES[0], "-"), ("iou", SERIES[1], "-"), ("niou", SERIES[2], "--")):
        label = {"pd": "Pd", "iou": "IoU", "niou": "nIoU"}[name]
        values = [getattr(point.result, name) for point in engine.points]
        axes.plot(
            logit,
            [math.nan if value is None else value for value in values],
            style,
            color=colour,
            label=label,
        )
        if (value := getattr(own, name)) is not None:
            axes.plot(_logit(engine.threshold), value, "o", color=colour, markersize=4.5)
    axes.axvline(_logit(engine.threshold), color=INK, linewidth=0.9, linestyle=":")
    axes.set_ylim(-0.02, 1.02)
    figures = ", ".join(
        f"{word} {value:.3f}" for word, value in (("Pd", own.pd), ("IoU", own.iou)) if value is not None
    )
    figures += f", Fa {_fa(own) * 1e5:.2f}\u00b710$^{{-5}}$"
    axes.set_title(f"{engine.label}\nat {engine.threshold:g}: {figures}", fontsize=8.5)


def _false_alarms(axes, engine: EngineStudy, zero: float) -> None:
    axes.plot(_logits(engine), [_fa(point.result, zero) for point in engine.points], color=SERIES[3])
    axes.plot(_logit(engine.threshold), _fa(engine.own.result, zero), "o", color=SERIES[3], markersize=4.5)
    axes.axvline(_logit(engine.threshold), color=INK, linewidth=0.9, linestyle=":")
    axes.set_yscale("log")
    axes.set_xticks([_logit(tick) for tick in TICKS], TICKS.values())
    axes.set_xlabel("threshold")


def _label_zero(axes, zero: float, name: str = "xaxis") -> None:
    """The level that stands for 0 is labelled 0 and divided from the decades by a line."""
    axis = getattr(axes, name)
    ends = axes.get_xlim() if name == "xaxis" else axes.get_ylim()
    first, last = math.floor(math.log10(zero)) + 1, math.floor(math.log10(ends[1]))
    decades = [10.0**power for power in range(first, last + 1)]
    axis.set_major_locator(FixedLocator([zero, *decades]))
    names = ["0", *(f"$10^{{{power}}}$" for power in range(first, last + 1))]
    axis.set_major_formatter(FixedFormatter(names))
    axis.set_minor_locator(FixedLocator([]))


def _zero_level(study: Study) -> float:
    """Half a decade below the decade of the smallest Fa there is but 0; stands for 0 on a log axis."""
    fas = [point.result.fa for engine in study.engines for point in engine.points if point.result.fa]
    return 10 ** (math.floor(math.log10(min(fas, default=1e-6))) - 0.5)


def _logit(threshold: float) -> float:
    return math.log(threshold / (1.0 - threshold))


def _logits(engine: EngineStudy) -> list[float]:
    return [_logit(point.threshold) for point in engine.points]
