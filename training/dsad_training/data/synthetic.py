"""Generated frames with exact masks, as further training images."""

from collections.abc import Iterator

import numpy as np

from dsad_tools.data.sample import Sample
from dsad_tools.scenes.generator import SceneGenerator

#: Frames of one scene share their clutter. Few of them, far apart, cost little and still differ: the clutter
#: drifts by 10 to 35 px from one to the next, and the targets are others.
FRAMES_PER_SCENE = 10
FRAMES_APART = 50


def synthetic_samples(
    images: int, seed: int, terrain: str, side: int, snr: tuple[float, float]
) -> Iterator[Sample]:
    """``images`` 8-bit frames (side,side), every ten from a scene of its own; a function of the arguments.

    Args:
        terrain: as for :class:`~dsad_tools.scenes.generator.SceneGenerator`, as ``side`` (px) and ``snr``.
    """
    scenes = -(-images // FRAMES_PER_SCENE)
    # Drawn, not counted up: neighbouring seeds of the recipe share no scene.
    seeds = np.random.default_rng(seed).integers(1 << 31, size=scenes).tolist()
    for number, scene_seed in enumerate(seeds):
        count = min(FRAMES_PER_SCENE, images - number * FRAMES_PER_SCENE)
        scene = SceneGenerator(
            height=side,
            width=side,
            frames=FRAMES_PER_SCENE * FRAMES_APART,
            seed=scene_seed,
            terrain=terrain,
            snr=snr,
        )
        for index in range(count):
            sample = scene[index * FRAMES_APART]
            yield Sample(f"synthetic-{terrain}-{scene_seed}-{sample.name}", sample.image, sample.mask)
