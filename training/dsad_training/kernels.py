"""The directional kernels of DSA as a figure, and the attention they give on a generated scene."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dsad_tools.analysis.canvas import SERIES, new_figure, show, stacked, stretched, styled
from dsad_tools.scenes.generator import SceneGenerator
from dsad_training.networks.dsa import (
    Base,
    DsaOptions,
    Sign,
    arm_masks,
    axis_kernels,
    balanced,
    directional_attention,
    fixed_base,
    widen,
)

SCENE_SIDE = 192
#: Scene of the figure: its targets lie on cloud, ridge and sea.
SCENE_SEED = 5


@dataclass(frozen=True)
class Scene:
    """A generated frame under DSA.

    Attributes:
        image: (H,W) uint8; mask: (H,W) uint8, targets > 0.
        attention: M_DSA (H,W) in [0.5, 1) of the frame at zero mean and unit deviation.
    """

    image: np.ndarray
    mask: np.ndarray
    attention: np.ndarray

    @property
    def separation(self) -> float:
        """AUC of the attention, target pixels against all others: 1 separates them, 0.5 is chance."""
        target = self.mask > 0
        ranks = np.searchsorted(np.sort(self.attention[~target]), self.attention[target])
        return float(ranks.mean() / (~target).sum())


def scene(options: DsaOptions, seed: int = SCENE_SEED) -> Scene:
    """A mixed scene with four to six targets and its attention."""
    sample = SceneGenerator(SCENE_SIDE, SCENE_SIDE, frames=1, seed=seed, targets=(4, 6))[0]
    grey = torch.from_numpy(sample.image).float()[None, None]
    with torch.no_grad():
        attention = directional_attention(options)((grey - grey.mean()) / grey.std())[0, 0].numpy()
    return Scene(sample.image, sample.truth, attention)


def kernel_stages(base: Base, sign: Sign) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_base (3,3), the same at (7,7), the kernels of the eight directions (8,7,7) and of the axes (4,7,7)."""
    small, masks = fixed_base(base), arm_masks(sign)
    if base != "ones":
        masks = balanced(masks, small)
    wide = widen(small)
    return small[0, 0], wide[0, 0], (masks * wide)[:, 0], axis_kernels(masks, small)[:, 0]


def kernel_figure(options: DsaOptions) -> Figure:
    """From the base kernel by equations 2 to 7 to the attention on a scene."""
    small, wide, directions, axes_of = kernel_stages(options.base, options.sign)
    view = scene(options)
    with styled():
        figure = new_figure(9.0, 7.4)
        top, bottom = stacked(figure, (1.32, 1.0))
        grid = top.subplots(3, 5)
        _kernel(grid[0, 0], small, "$W_{base}$, 3×3")
        _kernel(grid[1, 0], wide, "$W_{base}$, 7×7")
        grid[2, 0].set_axis_off()
        for i in range(4):
            _kernel(grid[0, i + 1], directions[i], f"$k_{{d{i + 1}}}$, {45 * i}°")
            _kernel(grid[1, i + 1], directions[i + 4], f"$k_{{d{i + 5}}}$, {45 * i + 180}°")
            _kernel(grid[2, i + 1], axes_of[i], f"$k_{{d{i + 1}}}-k_{{d{i + 5}}}$")
        top.suptitle(
            f"DSA kernels, base {options.base}, sign {options.sign}; each panel scaled by its largest tap",
            fontsize=9,
            x=0.01,
            ha="left",
        )

        frame, truth, weights = bottom.subplots(1, 3)
        show(frame, stretched(view.image))
        frame.set_title("generated scene")
        show(truth, stretched(view.image))
        truth.set_title("true targets")
        drawn = weights.imshow(view.attention, cmap="inferno", vmin=0.5, vmax=1.0, interpolation="nearest")
        weights.set_axis_off()
        weights.set_title(f"$M_{{DSA}}$, AUC {view.separation:.3f} target pixels against others")
        for axes in (truth, weights):
            _rings(axes, view.mask)
        bottom.colorbar(drawn, ax=weights, shrink=0.85)
        return figure


def _kernel(axes: Axes, kernel: Tensor, title: str) -> None:
    """Blue negative, red positive; taps are written where they fit."""
    values = kernel.numpy()
    largest = abs(values).max()
    axes.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes.set_title(title)
    axes.grid(False)
    axes.set_xticks(np.arange(0.5, len(values) - 1), [])
    axes.set_yticks(np.arange(0.5, len(values) - 1), [])
    axes.tick_params(length=0)
    axes.grid(True, color="white", linewidth=0.8)
    axes.set_axisbelow(False)
    for (y, x), value in np.ndenumerate(values):
        if value:
            text = f"{value:.2f}".replace("0.", ".")
            axes.text(
                x,
                y,
                text,
                ha="center",
                va="center",
                fontsize=4.2 if len(values) > 3 else 7,
                color="white" if abs(value) > 0.6 * largest else "black",
            )


def _rings(axes: Axes, mask: np.ndarray) -> None:
    _, _, _, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    axes.plot(*centres[1:].T, "o", markersize=13, markerfacecolor="none", markeredgecolor=SERIES[4])
