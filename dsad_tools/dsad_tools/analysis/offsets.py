"""Where detections lie beside the labels: a labelled target that is drawn to one side shows here.

IoU on targets of some 30 px answers to half a pixel, and labels are not better than those who drew them.
"""

import numpy as np
from matplotlib.figure import Figure

from dsad_tools.analysis.canvas import FAINT, INK, SERIES, new_figure, styled
from dsad_tools.analysis.study import Study

REACH = 1.5
"""Offsets beyond this many pixels either way sit on the frame's edge."""


def offsets(study: Study) -> Figure:
    """A point for each hit at the engine's own threshold; a cross at the mean."""
    with styled():
        figure = new_figure(0.6 + 3.2 * len(study.engines), 3.7)
        panels = figure.subplots(1, len(study.engines), sharex=True, sharey=True, squeeze=False)[0]
        for axes, engine in zip(panels, study.engines):
            axes.axhline(0, color=FAINT, zorder=0)
            axes.axvline(0, color=FAINT, zorder=0)
            x, y = np.clip(engine.offsets, -REACH, REACH).T
            axes.plot(x, y, ".", color=SERIES[0], markersize=3.5, alpha=0.35, markeredgewidth=0)
            words = "no hit"
            if engine.offset is not None:
                axes.plot(*engine.offset, "+", color=SERIES[1], markersize=13, markeredgewidth=1.8)
                words = f"{len(x)} hits, mean {engine.offset[0]:+.2f}, {engine.offset[1]:+.2f} px"
            axes.set_title(f"{engine.label}\n{words}", fontsize=8.5)
            axes.set_xlabel("right of the label, px")
            axes.set_aspect("equal")
        # Rows of a frame count downwards.
        panels[0].set(xlim=(-REACH, REACH), ylim=(REACH, -REACH), ylabel="below the label, px")
        figure.suptitle(study.caption, fontsize=8, x=0.01, ha="left", color=INK)
        return figure
