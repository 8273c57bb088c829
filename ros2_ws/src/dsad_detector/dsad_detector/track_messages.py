"""The messages of tracks. Every header is the frame's own, unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dsad_core.frame.monitor import FrameKind
from dsad_core.targets import Target
from dsad_core.tracking import Follower, MotionState, Track, TrackState
from dsad_msgs.msg import Track as TrackMessage
from dsad_msgs.msg import TrackArray
from geometry_msgs.msg import Vector3, Vector3Stamped

try:
    from vision_msgs.msg import BoundingBox2D, Detection2D, Detection2DArray, ObjectHypothesisWithPose
except ImportError:  # not installed: there is no topic of its types
    Detection2DArray = None

STATES = {
    TrackState.TENTATIVE: TrackMessage.TENTATIVE,
    TrackState.CONFIRMED: TrackMessage.CONFIRMED,
    TrackState.COASTING: TrackMessage.COASTING,
    TrackState.ENDED: TrackMessage.ENDED,
}
MOTIONS = {
    MotionState.UNKNOWN: TrackMessage.UNKNOWN,
    MotionState.STILL: TrackMessage.STILL,
    MotionState.MOVING: TrackMessage.MOVING,
}
KINDS = {
    FrameKind.SCENE: TrackArray.SCENE,
    FrameKind.REPEATED: TrackArray.REPEATED,
    FrameKind.SHUTTER: TrackArray.SHUTTER,
    FrameKind.SETTLING: TrackArray.SETTLING,
}
#: Class of every detection in vision_msgs: the network knows one.
CLASS_ID = "target"


def track_array(
    header,
    size: tuple[int, int],
    kind: FrameKind,
    tracks: Sequence[Track],
    bearings: np.ndarray | None,
    skipped: int,
    follower: Follower,
) -> TrackArray:
    """All that is known after a frame.

    Args:
        size: (height, width) of the frame.
        bearings: (N, 3) unit vectors in the tracks' order, or None.
        skipped: answered frames that the tracker did not see, so far.
    """
    array = TrackArray(
        header=header,
        height=size[0],
        width=size[1],
        frame_kind=KINDS[kind],
        motion_known=follower.motion_known,
        frames_skipped=skipped,
        motion_failures=follower.estimator.failures,
    )
    for index, track in enumerate(tracks):
        message = _track(track)
        if bearings is not None and np.isfinite(bearings[index]).all():
            message.has_bearing = True
            message.bearing = _vector(bearings[index])
        array.tracks.append(message)
    return array


def best_bearing(header, tracks: Sequence[Track], bearings: np.ndarray | None) -> Vector3Stamped | None:
    """Direction of the best confirmed track in the optical frame: one that moves before others, then the oldest."""
    if bearings is None:
        return None
    has_bearing = np.isfinite(bearings).all(axis=1)
    shown = [index for index, track in enumerate(tracks) if track.confirmed and has_bearing[index]]
    if not shown:
        return None
    best = max(shown, key=lambda index: (tracks[index].motion is MotionState.MOVING, tracks[index].age_s))
    return Vector3Stamped(header=header, vector=_vector(bearings[best]))


def detection_array(header, targets: Sequence[Target], tracks: Sequence[Track]):
    """The frame's targets as vision_msgs/Detection2DArray; ``id`` is the confirmed track's, else empty."""
    ids = {track.target: str(track.id) for track in tracks if track.confirmed and track.target is not None}
    array = Detection2DArray(header=header)
    for index, target in enumerate(targets):
        box = BoundingBox2D(size_x=float(target.width), size_y=float(target.height))
        box.center.position.x = target.left + (target.width - 1) / 2
        box.center.position.y = target.top + (target.height - 1) / 2
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = CLASS_ID
        hypothesis.hypothesis.score = float(target.score)
        detection = Detection2D(header=header, bbox=box, id=ids.get(index, ""))
        detection.results.append(hypothesis)
        array.detections.append(detection)
    return array


def _track(track: Track) -> TrackMessage:
    return TrackMessage(
        id=track.id,
        state=STATES[track.state],
        motion=MOTIONS[track.motion],
        age=track.age_s,
        since_hit=track.missed_s,
        hits=track.hits,
        x=track.x,
        y=track.y,
        vx=track.vx,
        vy=track.vy,
        covariance=track.covariance.astype(np.float32).ravel(),
        score=track.score,
        left=float(track.left),
        top=float(track.top),
        width=float(track.width),
        height=float(track.height),
        target=-1 if track.target is None else track.target,
    )


def _vector(direction: np.ndarray) -> Vector3:
    x, y, z = direction.tolist()
    return Vector3(x=x, y=y, z=z)
