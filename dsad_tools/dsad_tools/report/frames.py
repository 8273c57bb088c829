"""Frames for the report: the picture itself once, and vector outlines to lay over it."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from dsad_tools.metrics.frame_picture import FramePicture, Mark
from dsad_tools.metrics.marks import eight_bit, marks_of
from dsad_tools.report.outline import outline_path

ZOOM_SIDE = 32
"""Pixels of the frame across a close-up."""

MAX_ZOOMS = 6
MAX_MARKS = 60
"""A prediction of nothing but noise has thousands of components; more marks than this say no more."""


@dataclass(frozen=True, slots=True)
class FrameView:
    """What the template draws of one frame."""

    title: str
    caption: str
    labelled: bool
    width: int
    height: int
    png: str
    truth_path: str
    predicted_path: str
    truth_marks: list[Mark]
    predicted_marks: list[Mark]
    zooms: list[Mark]


def view_frame(picture: FramePicture) -> FrameView:
    """Lay out one frame."""
    height, width = picture.predicted.shape
    truth, answers = marks_of(picture)
    missed = [mark for mark in truth if mark.kind == "missed"]
    false = [mark for mark in answers if mark.kind == "false"]
    found = [mark for mark in truth if mark.kind == "truth"] or [m for m in answers if m.kind == "unlabelled"]
    return FrameView(
        title=picture.title,
        caption=_caption(picture.labelled, truth, answers),
        labelled=picture.labelled,
        width=width,
        height=height,
        png=_png(picture.image),
        truth_path=outline_path(picture.truth) if picture.truth is not None else "",
        predicted_path=outline_path(picture.predicted) if len(answers) <= 10 * MAX_MARKS else "",
        truth_marks=truth[:MAX_MARKS],
        predicted_marks=(answers + missed)[:MAX_MARKS],
        zooms=_zooms(_by_turns(missed, false, found), width, height),
    )


def _caption(labelled: bool, truth: list[Mark], answers: list[Mark]) -> str:
    if not labelled:
        return f"{_plural(len(answers), 'detection')}, no ground truth"
    missed = sum(mark.kind == "missed" for mark in truth)
    false = sum(mark.kind == "false" for mark in answers)
    parts = [_plural(len(truth), "target"), f"{len(truth) - missed} found"]
    parts += [f"{missed} missed"] if missed else []
    parts += [_plural(false, "false alarm")] if false else []
    return ", ".join(parts)


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _by_turns(*groups: list[Mark]) -> list[Mark]:
    """Marks turn by turn from each group, so that none crowds out the others."""
    turns = range(max(map(len, groups)))
    return [group[turn] for turn in turns for group in groups if turn < len(group)]


def _zooms(marks: list[Mark], width: int, height: int) -> list[Mark]:
    """Close-ups of the first `MAX_ZOOMS` marks, without those that an earlier one shows already."""
    zooms: list[Mark] = []
    for mark in marks:
        if len(zooms) < MAX_ZOOMS and not any(_shows(zoom, mark) for zoom in zooms):
            zooms.append(_zoom(mark, width, height))
    return zooms


def _shows(zoom: Mark, mark: Mark) -> bool:
    return (
        zoom.kind == mark.kind
        and zoom.x <= mark.x
        and zoom.y <= mark.y
        and mark.x + mark.width <= zoom.x + zoom.width
        and mark.y + mark.height <= zoom.y + zoom.height
    )


def _zoom(mark: Mark, width: int, height: int) -> Mark:
    """A square of the frame around a mark, kept inside the frame where the frame is large enough."""
    side = max(ZOOM_SIDE, 1.6 * max(mark.width, mark.height))
    x = mark.x + mark.width / 2 - side / 2
    y = mark.y + mark.height / 2 - side / 2
    return Mark(mark.kind, max(min(x, width - side), 0), max(min(y, height - side), 0), side, side)


def _png(image: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", eight_bit(image))[1].tobytes()).decode()
