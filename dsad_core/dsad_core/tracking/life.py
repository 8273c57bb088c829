"""What a track is besides its kinematics, from frame to frame."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dsad_core.tracking.track import MotionState, TrackState


@dataclass
class Life:
    """State, counts and looks of one track; times are seconds of the tracker's clock."""

    id: int
    born: float
    last_hit: float
    hit_frame: int = 0
    state: TrackState = TrackState.TENTATIVE
    motion: MotionState = MotionState.UNKNOWN
    hits: int = 0
    #: (time, evidence) of the hits within the window: logits above the threshold of the mask
    recent: deque = field(default_factory=deque)
    scores: deque = field(default_factory=lambda: deque(maxlen=8))
    #: left, top from the position; width, height
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    target: int | None = None
    #: when it left the view, and when its expected place was last out of view; None for one in view
    left_at: float | None = None
    away_at: float = 0.0

    @property
    def away(self) -> bool:
        return self.left_at is not None
