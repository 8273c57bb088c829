"""Draws the moving picture of README and site: generated scenes with the tracks that the suite finds in them.

source env.sh && python docs/draw_tracks.py docs/assets/tracks.gif [engine]
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.tracking import Follower
from dsad_core.tracking.track import MotionState, TrackState
from dsad_tools.follow import Followed, follow
from dsad_tools.scenes.moving import MovingScene

#: (terrain, seed, pan in pixels a frame)
SCENES = (("cloud", 3, 0.0), ("terrain", 5, 1.0))
HEIGHT, WIDTH, FPS = 224, 320, 25.0
FRAMES, EVERY = 132, 4
#: Grey levels of the picture, and how far a pixel must change to be drawn again: the sensor's noise would fill the file.
GREYS, NOISE = 20, 14
COLOURS = {
    MotionState.MOVING: (60, 150, 255),
    MotionState.STILL: (110, 220, 110),
    MotionState.UNKNOWN: (255, 200, 80),
}
TAIL = 40


def draw(view: Followed, grey: np.ndarray, paths: dict[int, list[tuple[float, float]]]) -> np.ndarray:
    """The frame with each confirmed track's box, id and path; (H, W, 3) uint8, BGR.

    Args:
        view: one answered frame.
        grey: (H, W) uint8, what is shown of it.
        paths: earlier positions by track id; the frame's own are added.
    """
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    for track in view.tracks:
        if track.state not in (TrackState.CONFIRMED, TrackState.COASTING):
            continue
        path = paths.setdefault(track.id, [])
        path.append((track.x, track.y))
        colour = COLOURS[track.motion]
        points = np.rint(np.array(path[-TAIL:]) * 8).astype(np.int32)
        cv2.polylines(picture, [points.reshape(-1, 1, 2)], False, colour, 1, cv2.LINE_AA, 3)
        x, y = round(track.x), round(track.y)
        cv2.rectangle(picture, (x - 9, y - 9), (x + 9, y + 9), colour, 1)
        cv2.putText(
            picture, str(track.id), (x + 11, y - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA
        )
    return picture


def panel(terrain: str, seed: int, pan: float, detector: Detector) -> list[np.ndarray]:
    """The drawn frames of one scene."""
    scene = MovingScene(HEIGHT, WIDTH, FRAMES, seed, terrain=terrain, fps=FPS, pan=pan, snr=(12.0, 30.0))
    paths: dict[int, list[tuple[float, float]]] = {}
    grey, pictures = None, []
    for view in follow(scene, detector, Follower()):
        now = cv2.GaussianBlur(view.sample.image, (0, 0), 0.7)
        grey = now if grey is None or pan else np.where(cv2.absdiff(now, grey) > NOISE, now, grey)
        pictures.append(draw(view, grey, paths))
    return pictures[EVERY - 1 :: EVERY]


def palette() -> Image.Image:
    """Greys, and the colours of the tracks at two strengths: one palette, so the loop does not flicker."""
    greys = [(round(level),) * 3 for level in np.linspace(10, 245, GREYS)]
    colours = [
        tuple(round(part * share) for part in colour[::-1])
        for colour in COLOURS.values()
        for share in (1, 0.6)
    ]
    image = Image.new("P", (1, 1))
    image.putpalette([part for colour in (*greys, *colours) for part in colour])
    return image


def main(out: Path, engine: str) -> None:
    """Write the GIF."""
    detector = Detector(load_engine(engine))
    rows = zip(*(panel(*scene, detector) for scene in SCENES), strict=True)
    frames = [Image.fromarray(cv2.cvtColor(np.hstack(row), cv2.COLOR_BGR2RGB)) for row in rows]
    drawn = [frame.quantize(palette=palette(), dither=Image.Dither.NONE) for frame in frames]
    drawn[0].save(
        out, save_all=True, append_images=drawn[1:], duration=round(1000 * EVERY / FPS), loop=0, optimize=True
    )
    print(f"{out}: {len(drawn)} frames, {out.stat().st_size / 1e6:.2f} MB, engine {engine}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python docs/draw_tracks.py OUT.gif [ENGINE]")
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "dsad-num4-field")
