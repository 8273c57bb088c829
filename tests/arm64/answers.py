"""Answers of an engine on the compiled kernels, kept on one machine and compared on another.

    python answers.py keep FILE ENGINE IMAGE...
    python answers.py compare FILE

The second prints one line, and fails where a mask pixel differs.
"""

import sys

import numpy as np

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine


def keep(file: str, engine: str, images: list[str]) -> None:
    """Write frames of any integer depth, with the masks and logits of them, to ``file`` (NPZ)."""
    import cv2

    kept = {"engine": np.array(engine)}
    for number, image in enumerate(images):
        frame = cv2.imread(image, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        if frame is None:
            sys.exit(f"{image}: no image that can be read")
        kept[f"frame{number}"] = frame
    for number, (mask, logits) in enumerate(_answers(kept)):
        kept[f"mask{number}"], kept[f"logits{number}"] = mask, logits
    np.savez_compressed(file, **kept)


def compare(file: str) -> int:
    """The number of mask pixels that differ here from those in ``file``."""
    kept = dict(np.load(file))
    targets = differing = 0
    farthest = highest = 0.0
    answers = _answers(kept)
    for number, (mask, logits) in enumerate(answers):
        want = kept[f"logits{number}"]
        targets += np.count_nonzero(kept[f"mask{number}"])
        differing += np.count_nonzero(mask != kept[f"mask{number}"])
        farthest = max(farthest, float(np.abs(logits - want).max()))
        highest = max(highest, float(np.abs(want).max()))
    print(
        f"{kept['engine']}: {len(answers)} frame(s), {targets} mask pixels, {differing} differ; largest logit "
        f"difference {farthest:.1e} of up to {highest:.0f}"
    )
    return differing


def _answers(kept: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(mask, logits) of every frame."""
    engine = load_engine(str(kept["engine"]), "cpu", threads=1, backend="direct")
    print(engine.description)
    detector = Detector(engine)
    answers = []
    for number in range(sum(name.startswith("frame") for name in kept)):
        found = detector.detect(kept[f"frame{number}"])
        answers.append((found.mask.copy(), found.logits.copy()))
    engine.close()
    return answers


if __name__ == "__main__":
    match sys.argv[1:]:
        case "keep", file, engine, *images if images:
            keep(file, engine, images)
        case "compare", file:
            sys.exit(1 if compare(file) else 0)
        case _:
            sys.exit(__doc__)
