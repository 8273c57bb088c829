"""Validation parts by scene: images that look alike stay on one side of the cut.

Neighbouring frames and shared backgrounds would leak from training to validation if single images were drawn.
Stills are grouped by the correlation of their thumbnails, recordings by blocks of neighbours in the listing.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dsad_tools.data.images import read_grey

#: Thumbnails that correlate above this show one scene.
ALIKE = 0.97
THUMBNAIL = (24, 24)
#: Neighbouring recordings that stay together; every third block is held out.
BLOCK, EVERY = 4, 3


def hold_out_stills(paths: Sequence[Path], share: float, seed: int) -> list[str]:
    """Names (without extension) of whole scenes, drawn by ``seed`` until they hold ``share`` of the images.

    A scene larger than the wanted part is never drawn.
    """
    scene = scenes(np.stack([thumbnail(path) for path in paths]))
    sizes = np.bincount(scene)
    wanted = share * len(paths)
    chosen: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(sizes)):
        if sizes[chosen].sum() >= wanted:
            break
        if sizes[number] <= wanted / 4:
            chosen.append(int(number))
    return sorted(path.stem for path, number in zip(paths, scene) if number in chosen)


def hold_out_recordings(names: Sequence[str]) -> list[str]:
    """Every third block of four neighbours among the names of each class (``IR_BIRD_001``: class ``IR_BIRD``)."""
    held_out = []
    for kind in sorted({name.rpartition("_")[0] for name in names}):
        members = sorted(name for name in names if name.rpartition("_")[0] == kind)
        held_out += [name for place, name in enumerate(members) if place // BLOCK % EVERY == EVERY - 1]
    return sorted(held_out)


def thumbnail(path: Path) -> np.ndarray:
    """The image at 24x24, as a vector (576,) of mean 0 and length 1."""
    small = cv2.resize(read_grey(path).astype(np.float32), THUMBNAIL, interpolation=cv2.INTER_AREA).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-9)


def scenes(thumbnails: np.ndarray) -> np.ndarray:
    """Scene number (n,) of each thumbnail (n,k): linked whenever two correlate above ``ALIKE``."""
    alike = thumbnails @ thumbnails.T > ALIKE
    number = np.arange(len(thumbnails))
    while True:
        # Everyone takes the lowest number among those it resembles, until nothing changes.
        lowest = np.where(alike, number[None, :], len(number)).min(1)
        if np.array_equal(lowest, number):
            return np.unique(number, return_inverse=True)[1]
        number = np.minimum(number, lowest)
