"""The four small frames of the runtime's self-test: ``python -m dsad_tools.self_test_frames``."""

from pathlib import Path
from typing import Any

import numpy as np

import dsad_core.engines.self_test as self_test
from dsad_core.frame.normalise import to_unit
from dsad_tools.scenes.generator import SceneGenerator

#: (height, width); targets that every network sees, so that the masks which are compared are not empty.
SIZE, COUNT = (128, 160), 4
SCENE: dict[str, Any] = {"targets": (6, 12), "snr": (15.0, 40.0)}


def make_frames() -> np.ndarray:
    """(4, 128, 160) uint8."""
    scenes = SceneGenerator(*SIZE, frames=COUNT, seed=17, **SCENE)
    return np.stack([np.round(255 * to_unit(sample.image)).astype(np.uint8) for sample in scenes])


def main() -> None:
    """Write the frames beside the self-test."""
    path = Path(self_test.__file__).with_name(self_test.FRAMES_FILE)
    np.savez_compressed(path, frames=make_frames())
    print(f"wrote {path}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
