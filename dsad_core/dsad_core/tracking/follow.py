"""From answered frames to tracks: the one way, for node and evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dsad_core.errors import UsageError
from dsad_core.frame.monitor import FrameKind
from dsad_core.hysteresis import logit
from dsad_core.targets import Target, sigmoid
from dsad_core.tracking.motion import Motion, MotionEstimator, MotionSource
from dsad_core.tracking.settings import TrackerSettings
from dsad_core.tracking.track import Track
from dsad_core.tracking.tracker import Tracker
from dsad_core.tracking.weak import weak_targets

#: The weak threshold's distance below the mask's, in logits, where none is given.
WEAK_DROP = 5.0


class Follower:
    """Weak targets, the camera's motion and the tracker, frame by frame. One camera, one thread.

    Args:
        settings: of the tracker.
        low_threshold: probability in (0, 1) above which a weak detection counts; None for ``WEAK_DROP`` logits below
            the mask's threshold.
        camera: ``estimate`` the camera's motion from the frames, or take it to stand ``still``.
        motion: says how the camera moves, in place of the estimate.

    Attributes:
        tracker, estimator: the parts, for their counters.
        motion_known: whether the last frame's camera motion is known: measured, or none by ``still``.

    Raises:
        UsageError: an argument outside its range.
    """

    def __init__(
        self,
        settings: TrackerSettings | None = None,
        low_threshold: float | None = None,
        camera: str = "estimate",
        motion: MotionSource | None = None,
    ):
        if low_threshold is not None and not 0.0 < low_threshold < 1.0:
            raise UsageError(f"low threshold {low_threshold} must lie between 0 and 1, both excluded")
        if camera not in ("estimate", "still"):
            raise UsageError(f"camera motion {camera!r} is not one of estimate, still")
        self.tracker = Tracker(settings)
        self.estimator: MotionSource = motion or MotionEstimator()
        self._low_threshold = low_threshold
        self._moves = motion is not None or camera == "estimate"
        self.motion_known = not self._moves
        self._last_targets: list[Target] = []

    def update(
        self,
        frame: np.ndarray,
        stamp_ns: int,
        targets: list[Target],
        mask: np.ndarray,
        logits: np.ndarray,
        threshold: float,
        kind: FrameKind = FrameKind.SCENE,
        received_ns: int | None = None,
        score: Callable = sigmoid,
    ) -> list[Track]:
        """Take one answered frame.

        Args:
            frame: (H, W) as the detector got it.
            stamp_ns, received_ns: its times, see `Tracker.update`.
            targets, mask, logits: of its `Detection`, before anything was taken out for its kind.
            threshold: the mask's.
            kind: what the frame monitor says of it.
            score: the detector's, for weak targets.

        Returns:
            The tracks alive after the frame; ``tracker.ended`` has those that ended with it.
        """
        is_scene = kind is FrameKind.SCENE
        motion = self._motion(frame, kind, stamp_ns) if self._moves else None
        self.motion_known = motion is None or motion.known
        weak = weak_targets(logits, mask, threshold, self._low(threshold), score=score) if is_scene else []
        corrected = kind in (FrameKind.SHUTTER, FrameKind.SETTLING)
        tracks = self.tracker.update(
            stamp_ns, targets, weak, motion, received_ns, is_scene, mask.shape, threshold, corrected
        )
        self._last_targets = targets
        return tracks

    def _motion(self, frame: np.ndarray, kind: FrameKind, stamp_ns: int) -> Motion | None:
        if kind is FrameKind.REPEATED:
            return None  # the same picture: nothing moved on it
        if kind is FrameKind.SHUTTER:
            self.estimator.reset()
            return Motion.unknown()
        return self.estimator.update(frame, self._last_targets, stamp_ns)

    def _low(self, threshold: float) -> float:
        if self._low_threshold is not None:
            return min(self._low_threshold, threshold)
        return 1.0 / (1.0 + math.exp(WEAK_DROP - logit(threshold)))
