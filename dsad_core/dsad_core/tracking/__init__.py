"""Targets over time: detections with stamps in, tracks out. Knows no ROS and no camera."""

from dsad_core.tracking.follow import Follower
from dsad_core.tracking.motion import Motion, MotionEstimator, MotionSource
from dsad_core.tracking.settings import TrackerSettings
from dsad_core.tracking.track import MotionState, Track, TrackState
from dsad_core.tracking.tracker import Tracker
from dsad_core.tracking.weak import weak_targets

__all__ = [
    "Follower",
    "Motion",
    "MotionEstimator",
    "MotionSource",
    "MotionState",
    "Track",
    "TrackState",
    "Tracker",
    "TrackerSettings",
    "weak_targets",
]
