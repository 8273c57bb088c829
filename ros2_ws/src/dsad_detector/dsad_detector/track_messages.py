"""The messages of tracks. Every header is the frame's own, unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Vector3, Vector3Stamped

from dsad_core.frame.monitor import FrameKind
from dsad_core.targets import Target
from dsad_core.tracking import Follower, MotionState, Track, TrackState
from dsad_core.tracking.directions import Directions
from dsad_msgs.msg import Track as TrackMessage
from dsad_msgs.msg import TrackArray

try:
    from vision_msgs.msg import (
        BoundingBox2D,
        Detection2D,
        Detection2DArray,
        LabelInfo,
        ObjectHypothesisWithPose,
        VisionClass,
    )
except ImportError:  # not installed: there are no topics of its types
    Detection2DArray = LabelInfo = None

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
    found: Directions | None,
    skipped: int,
    follower: Follower,
) -> TrackArray:
    """All that is known after a frame.

    Args:
        size: (height, width) of the frame.
        found: the tracks' directions, or None.
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
        bearing_frame=header.frame_id if found is None else found.frame_id,
        best=best_track(tracks),
        tracks=[_track(track) for track in tracks],
    )
    if found is not None:
        for index in np.flatnonzero(found.known):
            message = array.tracks[index]
            message.has_bearing = True
            message.bearing = _vector(found.bearing[index])
            message.bearing_covariance = found.covariance[index].astype(np.float32).ravel()
            message.angular_width, message.angular_height = found.size[index].tolist()
    return array


def best_track(tracks: Sequence[Track]) -> int:
    """Index of the best confirmed track: one that moves before others, then the oldest; -1 without any."""
    shown = [index for index, track in enumerate(tracks) if track.confirmed]
    return max(shown, key=lambda i: (tracks[i].motion is MotionState.MOVING, tracks[i].age_s), default=-1)


def best_bearing(array: TrackArray) -> Vector3Stamped | None:
    """Direction of the best track; None where nobody knows it."""
    if array.best < 0 or not array.tracks[array.best].has_bearing:
        return None
    message = Vector3Stamped(vector=array.tracks[array.best].bearing)
    message.header.stamp = array.header.stamp
    message.header.frame_id = array.bearing_frame
    return message


def track_ids(tracks: Sequence[Track]) -> dict[int, int]:
    """Ids of the confirmed tracks by the index of this frame's target that they lie on."""
    return {track.target: track.id for track in tracks if track.confirmed and track.target is not None}


def label_info(header, threshold: float):
    """What the mask's values mean, as vision_msgs/LabelInfo."""
    classes = [
        VisionClass(class_id=0, class_name="background"),
        VisionClass(class_id=255, class_name=CLASS_ID),
    ]
    return LabelInfo(header=header, class_map=classes, threshold=threshold)


def detection_array(header, targets: Sequence[Target], tracks: Sequence[Track]):
    """The frame's targets as vision_msgs/Detection2DArray; ``id`` is the confirmed track's, else empty."""
    ids = track_ids(tracks)
    array = Detection2DArray(header=header)
    for index, target in enumerate(targets):
        box = BoundingBox2D(size_x=float(target.width), size_y=float(target.height))
        box.center.position.x = target.left + (target.width - 1) / 2
        box.center.position.y = target.top + (target.height - 1) / 2
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = CLASS_ID
        hypothesis.hypothesis.score = float(target.score)
        detection = Detection2D(header=header, bbox=box, id=str(ids.get(index, "")))
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
