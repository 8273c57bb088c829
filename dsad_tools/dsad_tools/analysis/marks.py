"""What became of each target and each prediction of a frame, and how it is drawn."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.patches import Circle

from dsad_core.components import Components, as_components, find_components
from dsad_core.metrics.counts import Matching, match_components

Outcome = Literal["hit", "missed", "false"]

#: Colours and lines of the paper's Figure 9; the dashes tell misses apart without colour, too.
LINES: dict[str, dict[str, Any]] = {
    "hit": {"edgecolor": "#ff3b30", "linestyle": "-"},
    "false": {"edgecolor": "#ffd60a", "linestyle": "-"},
    "missed": {"edgecolor": "#34d058", "linestyle": (0, (2.2, 1.4))},
}
WORDS = {"hit": "detected", "false": "false alarm", "missed": "missed"}

MAX_FALSE = 40
"""Circles around false alarms, the largest first: a network that answers noise has thousands."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A target or prediction: its centre, and the half diagonal of its box, in pixels of the frame."""

    outcome: Outcome
    x: float
    y: float
    reach: float


def find_marks(predicted: np.ndarray, truth: np.ndarray, matching: Matching = "nearest") -> list[Mark]:
    """Hits, misses and the largest false alarms of a frame, from its two masks (H, W).

    A hit has the place and reach of the target, not of the prediction, so that the circles of several
    engines sit on the same spot.
    """
    targets, predictions = find_components(truth), find_components(predicted)
    pairs = match_components(targets, predictions, matching)
    hit, taken = {target for target, _ in pairs}, {prediction for _, prediction in pairs}
    marks = [_mark("hit" if n in hit else "missed", targets, n) for n in range(len(targets))]
    false = sorted(set(range(len(predictions))) - taken, key=lambda n: -predictions.areas[n])
    return marks + [_mark("false", predictions, n) for n in false[:MAX_FALSE]]


def find_offsets(
    predicted: np.ndarray | Components, truth: np.ndarray | Components, matching: Matching = "nearest"
) -> np.ndarray:
    """Predicted minus labelled centroid of each hit, (hits, 2) x, y in pixels, from a frame's two masks (H, W) or
    their components.

    Positive: the prediction lies right of and below the label. None is 3 px long or longer.
    """
    targets, predictions = as_components("truth", truth), as_components("predicted", predicted)
    pairs = np.array(match_components(targets, predictions, matching), dtype=int).reshape(-1, 2)
    return predictions.centroids[pairs[:, 1]] - targets.centroids[pairs[:, 0]]


def _mark(outcome: Outcome, components, number: int) -> Mark:
    x, y = components.centroids[number]
    return Mark(outcome, float(x), float(y), float(np.hypot(*components.boxes[number][2:])) / 2)


def draw_marks(axes, marks: list[Mark], frame_side: int, width: float = 1.0) -> None:
    """Circle each mark, wide enough to leave the target itself free."""
    least = 0.035 * frame_side
    # False alarms last: where one lies beside a hit, both stay visible.
    for mark in sorted(marks, key=lambda mark: mark.outcome == "false"):
        radius = max(least, mark.reach + 0.02 * frame_side)
        axes.add_patch(Circle((mark.x, mark.y), radius, fill=False, linewidth=width, **LINES[mark.outcome]))
