"""Frames, masks, tracks and latencies in Rerun: in a window, in a browser or from a file."""

from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path

import numpy as np

from dsad_core.errors import UsageError, one_line
from dsad_core.frame.monitor import FrameKind
from dsad_core.frame.normalise import to_unit
from dsad_core.tracking import MotionState, Track
from dsad_tools.follow import Followed

TRUTH, MASK, MOVING, STILL, UNKNOWN = (
    (120, 200, 120),
    (0, 158, 255),
    (213, 94, 0),
    (204, 121, 167),
    (230, 159, 0),
)
COLOURS = {MotionState.MOVING: MOVING, MotionState.STILL: STILL, MotionState.UNKNOWN: UNKNOWN}
#: Seconds of a track's path that are drawn behind it.
TAIL_S = 2.0
#: Pixels between a target and its box: a box drawn tight would cover what it points at.
MARGIN = 4


class Viewer:
    """Tells Rerun about answered frames.

    Args:
        name: of what is shown.
        window: open Rerun's window; else serve a page on ``port`` of this machine.
        file: write a recording for ``rerun <file>`` instead of either.

    Attributes:
        address: of the page, or None.

    Raises:
        UsageError: Rerun is not installed or does not start, or the file cannot be written.
    """

    def __init__(self, name: str, window: bool, file: Path | None = None, port: int = 9090):
        try:
            import rerun
            import rerun.blueprint as blueprint
        except ImportError:
            raise UsageError("dsad view needs Rerun: pip install 'dsad_tools[view]'") from None
        self._rerun = rerun
        self._tails: dict[int, deque[tuple[int, float, float]]] = {}
        layout = blueprint.Blueprint(
            blueprint.Horizontal(
                blueprint.Spatial2DView(origin="frame", name="frame, mask, tracks"),
                blueprint.Vertical(
                    blueprint.TimeSeriesView(origin="latency", name="latency, ms"),
                    blueprint.TimeSeriesView(origin="count", name="targets and tracks"),
                    blueprint.TextLogView(origin="events", name="events"),
                ),
                column_shares=(3, 1),
            ),
            collapse_panels=True,
        )
        rerun.init(f"dsad view {name}", default_blueprint=layout)
        self.address: str | None = None
        try:
            if file is not None:
                rerun.save(file, default_blueprint=layout)
            elif window:
                rerun.spawn(default_blueprint=layout, hide_welcome_screen=True)
            else:
                stream = rerun.serve_grpc(default_blueprint=layout)
                rerun.serve_web_viewer(web_port=port, open_browser=False, connect_to=stream)
                self.address = f"http://localhost:{port}/?url={stream}"
        except (OSError, RuntimeError) as error:
            if file is not None:
                raise UsageError(f"--out {file}: cannot be written ({one_line(error)})") from None
            way_out = "try --page" if window else "is another viewer open? end it, or give another --port"
            raise UsageError(f"Rerun does not start ({one_line(error)}); {way_out}") from None
        mask = rerun.AnnotationContext([(0, "", (0, 0, 0, 0)), (255, "target", MASK)])
        rerun.log("frame", mask, static=True)

    def show(self, view: Followed) -> None:
        """Add one frame."""
        rerun = self._rerun
        rerun.set_time("time", duration=np.timedelta64(view.stamp_ns, "ns"))
        grey = view.sample.image
        if grey.dtype != np.uint8:
            grey = (to_unit(grey) * 255.0 + 0.5).astype(np.uint8)
        rerun.log("frame/image", rerun.Image(grey, color_model="L"))
        rerun.log("frame/mask", rerun.SegmentationImage(view.detection.mask, opacity=0.6))
        if view.sample.boxes is not None:
            rerun.log("frame/truth", self._boxes(view.sample.boxes, TRUTH, None))
        shown = [track for track in view.tracks if track.confirmed]
        boxes = np.array([(t.left, t.top, t.width, t.height) for t in shown], np.float32).reshape(-1, 4)
        labels = [f"{track.id} {track.score:.2f}" for track in shown]
        colours = [COLOURS[track.motion] for track in shown]
        rerun.log("frame/tracks", self._boxes(boxes, colours, labels))
        self._log_tails(view.stamp_ns, shown, colours)
        self._log_figures(view, len(shown))

    def close(self) -> None:
        """Flush what was logged."""
        self._rerun.disconnect()

    def _boxes(self, boxes: np.ndarray, colours, labels: list[str] | None):
        return self._rerun.Boxes2D(
            mins=boxes[:, :2] - MARGIN, sizes=boxes[:, 2:] + 2 * MARGIN, colors=colours, labels=labels
        )

    def _log_tails(self, now: int, shown: list[Track], colours: list) -> None:
        strips = []
        for track in shown:
            tail = self._tails.setdefault(track.id, deque())
            tail.append((now, track.x, track.y))
            while now - tail[0][0] > TAIL_S * 1e9:
                tail.popleft()
            strips.append([point[1:] for point in tail])
        alive = {track.id for track in shown}
        self._tails = {number: tail for number, tail in self._tails.items() if number in alive}
        self._rerun.log("frame/tails", self._rerun.LineStrips2D(strips, colors=colours))

    def _log_figures(self, view: Followed, tracks: int) -> None:
        rerun = self._rerun
        for name, value in (
            ("latency/detector", sum(view.detection.durations().values()) / 1e6),
            ("latency/tracker", view.track_ns / 1e6),
            ("count/targets", len(view.detection.targets)),
            ("count/tracks", tracks),
        ):
            rerun.log(name, rerun.Scalars(value))
        if view.kind is not FrameKind.SCENE:
            rerun.log("events", rerun.TextLog(f"frame is no scene: {view.kind.value}"))


def has_display() -> bool:
    """Whether a window can be opened on this machine."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
