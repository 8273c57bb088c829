"""The thread that follows targets over time, after the mask is out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
from dsad_common.stamps import stamp_ns
from dsad_core.errors import unexpected
from dsad_core.frame.monitor import FrameKind
from dsad_core.targets import Target
from dsad_core.tracking import Follower, MotionState, Track

from dsad_detector.camera_info_buffer import CameraInfoBuffer
from dsad_detector.mailbox import Mailbox
from dsad_detector.throttled_warnings import ThrottledWarnings
from dsad_detector.track_messages import best_bearing, detection_array, track_array

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
    """

    header: Any
    frame: np.ndarray
    targets: list[Target]
    mask: np.ndarray
    logits: np.ndarray
    threshold: float
    kind: FrameKind
    received: int


@dataclass(frozen=True)
class TrackOutputs:
    """Publishers; ``detections`` is None where vision_msgs is not installed."""

    tracks: Any
    bearing: Any
    detections: Any | None


class TrackingThread:
    """Takes answered frames from a slot for one until it is stopped; a newer one overwrites one that waits.

    Args:
        follower: used by this thread only.
        outputs: publishers; rclpy's may be used from any thread.
        camera: asked for bearings.
        warnings: gets what fails.
        published: ``all`` tracks, ``confirmed`` ones, or confirmed ones that are ``moving``.

    Attributes:
        skipped: answers overwritten while the tracker was busy.
        followed: answers that became tracks.
    """

    def __init__(
        self,
        follower: Follower,
        outputs: TrackOutputs,
        camera: CameraInfoBuffer,
        warnings: ThrottledWarnings,
        published: str,
    ):
        self.skipped = 0
        self.followed = 0
        self._follower = follower
        self._outputs = outputs
        self._camera = camera
        self._warnings = warnings
        self._published = published
        self._mailbox: Mailbox[Answer] = Mailbox()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def put(self, answer: Answer) -> None:
        """Hand over an answered frame; returns at once."""
        if self._mailbox.put(answer):
            self.skipped += 1

    def stop(self) -> None:
        """Finish the frame in hand and end the thread."""
        self._mailbox.close()
        self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        while (answer := self._mailbox.take()) is not None:
            try:
                self._follow(answer)
            except Exception as error:
                if not rclpy.ok():
                    return  # the context is already shut down: nothing can be published any more
                self._warnings.report("tracks", f"no tracks for a frame: {unexpected(error)}")

    def _follow(self, answer: Answer) -> None:
        tracks = self._follower.update(
            answer.frame,
            stamp_ns(answer.header.stamp),
            answer.targets,
            answer.mask,
            answer.logits,
            answer.threshold,
            answer.kind,
            answer.received,
        )
        size = answer.mask.shape
        shown = [track for track in [*tracks, *self._follower.tracker.ended] if self._is_shown(track)]
        bearings = self._camera.bearings(shown, *size, answer.header.stamp)
        header, outputs = answer.header, self._outputs
        outputs.tracks.publish(
            track_array(header, size, answer.kind, shown, bearings, self.skipped, self._follower)
        )
        if outputs.bearing.get_subscription_count() > 0:
            message = best_bearing(header, shown, bearings)
            if message is not None:
                outputs.bearing.publish(message)
        if outputs.detections is not None and outputs.detections.get_subscription_count() > 0:
            outputs.detections.publish(detection_array(header, answer.targets, tracks))
        self.followed += 1

    def _is_shown(self, track: Track) -> bool:
        if self._published == "all":
            return True
        confirmed = track.confirmed or track.state.value == "ended"
        return confirmed and (self._published == "confirmed" or track.motion is MotionState.MOVING)
