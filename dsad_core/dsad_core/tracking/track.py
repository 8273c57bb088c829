"""What a consumer sees of a track: one immutable snapshot a frame."""

from dataclasses import dataclass
from enum import Enum

import numpy as np


class TrackState(Enum):
    """Where a track is in its life."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    COASTING = "coasting"
    ENDED = "ended"


class MotionState(Enum):
    """Whether a track moves against the scene. A still track may be a hovering drone."""

    UNKNOWN = "unknown"
    STILL = "still"
    MOVING = "moving"


@dataclass(frozen=True)
class Track:
    """One track after one frame, in pixels of that frame; the centre of the top left pixel is (0, 0).

    Attributes:
        id: 1 and up, never reused by a tracker.
        state: coasting is a confirmed track without a detection in this frame; an ended track is
            reported once.
        motion: moving, still or unknown, against the scene.
        age_s: seconds since the first detection.
        hits: frames with a detection, weak ones too.
        missed_s: seconds since the last detection.
        x, y: position.
        vx, vy: velocity against the scene, px/s: the camera's own motion is taken out where it is known.
        covariance: (4, 4) float64 of (x, y, vx, vy), px and seconds.
        score: mean score of the last detections, 0..1.
        left, top, width, height: the last detection's box, moved to the present position.
        target: index of this frame's detection in the list given to the tracker, None for a weak one or none.
    """

    id: int
    state: TrackState
    motion: MotionState
    age_s: float
    hits: int
    missed_s: float
    x: float
    y: float
    vx: float
    vy: float
    covariance: np.ndarray
    score: float
    left: float
    top: float
    width: float
    height: float
    target: int | None

    @property
    def confirmed(self) -> bool:
        """Confirmed or coasting."""
        return self.state in (TrackState.CONFIRMED, TrackState.COASTING)
