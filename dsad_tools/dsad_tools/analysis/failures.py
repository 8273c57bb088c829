"""Failures, worst first: a table as data and a contact sheet of the worst."""

import math
from dataclasses import asdict

from matplotlib.figure import Figure

from dsad_tools.analysis.canvas import new_figure, show, stacked, stretched, styled
from dsad_tools.analysis.grid import LEGEND, add_close_up, add_legend, draw_window, free_corner, window_around
from dsad_tools.analysis.marks import draw_marks, find_marks
from dsad_tools.analysis.study import EngineStudy, FrameScore, Study, View

ACROSS = 4
PANEL = 2.35


def ranking(engine: EngineStudy) -> list[dict]:
    """Every frame of an engine's ranking, ready for JSON."""
    return [
        {
            "rank": rank,
            "name": score.name,
            "number": score.number,
            "missed_targets": score.counts.missed_targets,
            **asdict(score.counts),
            "iou": score.counts.iou,
        }
        for rank, score in enumerate(engine.ranking, 1)
    ]


def contact_sheet(study: Study) -> Figure:
    """The worst frames of each engine, the image under its circles, with a close-up of the first fault."""
    rows = [max(1, math.ceil(len(engine.worst) / ACROSS)) for engine in study.engines]
    heights = [0.32 + (0.4 + PANEL * _tallest(engine)) * count for engine, count in zip(study.engines, rows)]
    with styled():
        figure = new_figure(PANEL * ACROSS, sum(heights) + LEGEND)
        *parts, below = stacked(figure, [*heights, LEGEND])
        for part, engine, count in zip(parts, study.engines, rows):
            faulty = sum(score.badness[:2] != (0, 0) for score in engine.ranking)
            part.suptitle(
                f"{engine.label} at {engine.threshold:g}: {faulty} of {study.frames} frames with a "
                "missed target or a false alarm",
                fontsize=9,
                x=0.01,
                ha="left",
            )
            panels = part.subplots(count, ACROSS, squeeze=False).ravel()
            for axes in panels:
                axes.set_axis_off()
            for rank, (axes, view) in enumerate(zip(panels, engine.worst), 1):
                _tile(axes, rank, view, engine, study)
        add_legend(below, study.caption, ("truth", "prediction"))
        return figure


def _tallest(engine: EngineStudy) -> float:
    """Largest ratio of height to width among the frames of a sheet; little where there is none."""
    return max((view.image.shape[0] / view.image.shape[1] for view in engine.worst), default=0.1)


def _tile(axes, rank: int, view: View, engine: EngineStudy, study: Study) -> None:
    mask = view.masks[engine.label]
    marks = find_marks(mask, view.truth, study.matching)
    fault = next((mark for mark in marks if mark.outcome == "missed"), None) or next(
        mark for mark in marks if mark.outcome == "false"
    )
    window = window_around(fault.x, fault.y, 2 * fault.reach, view.truth.shape)
    show(axes, stretched(view.image))
    draw_marks(axes, marks, min(view.truth.shape))
    draw_window(axes, window)
    add_close_up(
        axes,
        stretched(view.image),
        {"truth": view.truth, "prediction": mask},
        window,
        free_corner(view, window, marks),
    )
    axes.set_title(_words(rank, engine.ranking[rank - 1]), fontsize=7.5, pad=3)


def _words(rank: int, score: FrameScore) -> str:
    counts = score.counts
    iou = "" if counts.iou is None else f", IoU {counts.iou:.2f}"
    return (
        f"{rank}. {score.name}\n{counts.missed_targets} of {counts.targets} missed, "
        f"{counts.false_pixels} px false{iou}"
    )
