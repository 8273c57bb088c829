"""Frames that show no scene, and what becomes of their answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dsad_common.stamps import stamp_ns
from dsad_core.components import find_components
from dsad_core.detector import Detection
from dsad_core.frame.monitor import FrameKind, FrameMonitor

#: A repeated frame shows the scene of before: its answer stays what it was.
EMPTIED = (FrameKind.SHUTTER, FrameKind.SETTLING)


class FrameWatch:
    """The frame monitor in the inference thread.

    Args:
        monitor: None calls every frame a scene.
        empties: whether shutter and settling frames are answered with an empty mask.
    """

    def __init__(self, monitor: FrameMonitor | None, empties: bool = False):
        self._monitor = monitor
        self._empties = empties

    def announce(self, closed: bool) -> None:
        """The driver tells whether the shutter is closed; from any thread."""
        if self._monitor is not None:
            self._monitor.announce(closed)

    @property
    def counts(self) -> dict[str, int]:
        """Frames that show no scene, by kind."""
        if self._monitor is None:
            return {}
        return {kind.value: self._monitor.counts[kind] for kind in FrameKind if kind is not FrameKind.SCENE}

    def look(self, frame: np.ndarray, header, received: int) -> FrameKind:
        """What a frame (H, W) is; see ``FrameMonitor.update``."""
        if self._monitor is None:
            return FrameKind.SCENE
        return self._monitor.update(frame, stamp_ns(header.stamp), received)

    def refuse(
        self, detect: Callable[[np.ndarray], Detection], frame: np.ndarray, header, received: int
    ) -> tuple[Detection, FrameKind | None]:
        """The answer to a frame, and what the frame is.

        Only where ``empties`` is set, or the driver told that the shutter is closed, the frame is looked at first, and
        answered with an empty mask where it shows no scene; else the kind is None, and `look` can wait until the
        mask is out.
        """
        told = self._monitor is not None and self._monitor.announced
        if not self._empties and not told:
            return detect(frame), None
        kind = self.look(frame, header, received)
        detection = detect(frame)
        if kind in EMPTIED:
            mask = np.zeros_like(detection.mask)
            detection = replace(detection, mask=mask, targets=[], components=find_components(mask))
        return detection, kind
