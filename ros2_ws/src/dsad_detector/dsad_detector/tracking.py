"""The thread that follows targets over time, after the mask is out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy

from dsad_common.stamps import stamp_ns
from dsad_core.errors import unexpected
from dsad_core.frame.monitor import FrameKind
from dsad_core.targets import Target, sigmoid
from dsad_core.tracking import Follower, MotionState, Track
from dsad_core.tracking.directions import Directions
from dsad_detector.camera_info_buffer import CameraInfoBuffer
from dsad_detector.throttled_warnings import ThrottledWarnings
from dsad_detector.track_messages import best_bearing, detection_array, track_array, track_ids
from dsad_msgs.msg import TargetArray

STOP_TIMEOUT = 5.0


@dataclass(frozen=True)
class Answer:
    """One answered frame on its way to the tracker. Arrays must not change any more.

    Attributes:
        header: of the frame.
        frame: (H, W) as the detector got it.
        targets, mask, logits, threshold: the detector's answer.
        kind: what the frame monitor says of the frame.
        received: steady clock, nanoseconds.
        message: its TargetArray, which waits for the tracks' ids; None where it is out already.
        score: the detector's, for weak targets.
    """

    header: Any
    frame: np.ndarray
    targets: list[Target]
    mask: np.ndarray
    logits: np.ndarray
    threshold: float
    kind: FrameKind
    received: int
    message: TargetArray | None = None
    score: Callable = sigmoid


@dataclass(frozen=True)
class TrackOutputs:
    """Publishers; ``detections`` is None where vision_msgs is not installed."""

    targets: Any
    tracks: Any
    bearing: Any
    detections: Any | None


class TrackingThread:
    """Follows the newest answered frame until it is stopped; those that come while it is busy are skipped.

    Targets whose message waits for their tracks' ids go out here, in the order of their frames: those of a skipped
    frame without ids.

    Args:
        follower: used by this thread only.
        outputs: publishers; rclpy's may be used from any thread.
        camera: asked for directions.
        warnings: gets what fails.
        published: ``all`` tracks, ``confirmed`` ones, or confirmed ones that are ``moving``.
        target_ids: whether the targets wait for the tracks' ids.
        turn: (directions, stamp in nanoseconds) -> directions in another frame, or None; leave it out for the camera's.

    Attributes:
        skipped: answers overtaken by a newer one while the tracker was busy.
        followed: answers that became tracks.
    """

    def __init__(
        self,
        follower: Follower,
        outputs: TrackOutputs,
        camera: CameraInfoBuffer,
        warnings: ThrottledWarnings,
        published: str,
        target_ids: bool = True,
        turn: Callable[[Directions, int], Directions | None] | None = None,
    ):
        self.skipped = 0
        self.followed = 0
        self.target_ids = target_ids
        self._follower = follower
        self._outputs = outputs
        self._camera = camera
        self._warnings = warnings
        self._published = published
        self._turn = turn
        self._changed = threading.Condition()
        self._newest: Answer | None = None
        self._overtaken: list[TargetArray] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def put(self, answer: Answer) -> None:
        """Hand over an answered frame; returns at once."""
        with self._changed:
            self._overtake()
            self._newest = answer
            self._changed.notify()

    def stop(self) -> None:
        """Finish the frame in hand, publish what waits and end the thread."""
        with self._changed:
            self._closed = True
            self._overtake()
            self._changed.notify()
        self._thread.join(STOP_TIMEOUT)

    def _overtake(self) -> None:
        """Give up the answer that waits, but for its targets."""
        if self._newest is None:
            return
        self.skipped += 1
        if self._newest.message is not None:
            self._overtaken.append(self._newest.message)
        self._newest = None

    def _run(self) -> None:
        try:
            while (answer := self._take()) is not None:
                self._answer(answer)
        except Exception:
            if rclpy.ok():
                raise
            # The context is already shut down: nothing can be published any more.

    def _take(self) -> Answer | None:
        """The newest answer, once the targets of those before it are out; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._closed)
            answer, self._newest = self._newest, None
            overtaken, self._overtaken = self._overtaken, []
        for message in overtaken:
            self._outputs.targets.publish(message)
        return answer

    def _answer(self, answer: Answer) -> None:
        try:
            tracks = self._follow(answer)
        except Exception as error:
            self._warnings.report("tracks", f"no tracks for a frame: {unexpected(error)}")
            if answer.message is not None:
                self._outputs.targets.publish(answer.message)
            return
        self._publish(answer, tracks)
        self.followed += 1

    def _follow(self, answer: Answer) -> list[Track]:
        return self._follower.update(
            answer.frame,
            stamp_ns(answer.header.stamp),
            answer.targets,
            answer.mask,
            answer.logits,
            answer.threshold,
            answer.kind,
            answer.received,
            answer.score,
        )

    def _publish(self, answer: Answer, tracks: list[Track]) -> None:
        header, outputs, size = answer.header, self._outputs, answer.mask.shape
        if answer.message is not None:
            for index, number in track_ids(tracks).items():
                answer.message.targets[index].track_id = number
            outputs.targets.publish(answer.message)
        shown = [track for track in [*tracks, *self._follower.tracker.ended] if self._is_shown(track)]
        found = self._camera.directions(shown, *size, header)
        if found is not None and self._turn is not None:
            found = self._turn(found, stamp_ns(header.stamp))
        array = track_array(header, size, answer.kind, shown, found, self.skipped, self._follower)
        outputs.tracks.publish(array)
        if outputs.bearing.get_subscription_count() > 0:
            message = best_bearing(array)
            if message is not None:
                outputs.bearing.publish(message)
        if outputs.detections is not None and outputs.detections.get_subscription_count() > 0:
            outputs.detections.publish(detection_array(header, answer.targets, tracks))

    def _is_shown(self, track: Track) -> bool:
        if self._published == "all":
            return True
        confirmed = track.confirmed or track.state.value == "ended"
        return confirmed and (self._published == "confirmed" or track.motion is MotionState.MOVING)
