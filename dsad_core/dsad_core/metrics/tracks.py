"""Coverage, false tracks, id switches and time to confirm: counters of what tracks do against labelled boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from dsad_core.errors import UsageError
from dsad_core.metrics.counts import match_boxes, points_in_boxes
from dsad_core.tracking.track import MotionState, Track

#: A confirmed track that lies on a target in a smaller share of its labelled frames is false.
TRUE_SHARE = 0.5


@dataclass(frozen=True)
class TrackResult:
    """Figures of one or several sequences and the counts behind them. None where a denominator is 0.

    Attributes:
        frames: labelled frames; all other counts are of these.
        seconds, target_seconds: their duration, and the sum of the targets' own.
        points, covered: labelled targets frame by frame, and those that a confirmed or coasting track lies on.
        false_points: confirmed or coasting tracks frame by frame that no target pairs with.
        tracks: confirmed tracks.
        false_tracks: those that lie on a target in less than half of their labelled frames.
        false_moving_tracks: false ones that were called moving in at least one frame.
        switches: a target's track has another id than the one before it.
        targets, never: labelled targets (by id), and those that no confirmed track ever lay on.
        coverage: covered / points.
        false_a_minute, false_moving_a_minute: over ``seconds``.
        switches_a_minute: over ``target_seconds``.
        median_confirm_s: median over all targets of the seconds from the first label to the first confirmed track;
            None where half of them or more never had one.
    """

    frames: int
    seconds: float
    target_seconds: float
    points: int
    covered: int
    false_points: int
    tracks: int
    false_tracks: int
    false_moving_tracks: int
    switches: int
    targets: int
    never: int
    coverage: float | None
    false_a_minute: float | None
    false_moving_a_minute: float | None
    switches_a_minute: float | None
    median_confirm_s: float | None

    def to_dict(self) -> dict:
        return asdict(self)


@dataclass
class _Sums:
    frames: int = 0
    span_ns: int = 0
    target_ns: int = 0
    points: int = 0
    covered: int = 0
    false_points: int = 0
    tracks: int = 0
    false_tracks: int = 0
    false_moving_tracks: int = 0
    switches: int = 0
    targets: int = 0
    waits_ns: list[float] = field(default_factory=list)  # inf for a target that never had a track


@dataclass
class _Presence:
    """A confirmed track's frames: all labelled, on a target; and whether it was called moving."""

    frames: int = 0
    on_target: int = 0
    moving: bool = False


class TrackAccumulator:
    """Counts the frames of a sequence against its labelled boxes; `close` begins the next sequence.

    A track lies on a target when its position lies on the area of the target's box (`match_boxes`). Pairs of the
    frame before are kept while they hold, then the nearest pair first. Ids of tracks must not repeat in a sequence.

    Two accumulators merge to the counts of one that saw both one's sequences.
    """

    def __init__(self) -> None:
        self._sums = _Sums()
        self._begin()

    def _begin(self) -> None:
        self._pairs: dict[int, int] = {}  # target's id -> id of the track on it in the last frame
        self._last_track: dict[int, int] = {}
        self._first_seen: dict[int, int] = {}
        self._waited: dict[int, int] = {}
        self._tracks: dict[int, _Presence] = {}
        self._last_time: int | None = None

    def update(
        self, time_ns: int, tracks: Sequence[Track], boxes: np.ndarray | None, ids: np.ndarray | None = None
    ) -> None:
        """Count one frame.

        Args:
            time_ns: the frame's time, nanoseconds; must not decrease within a sequence.
            tracks: all tracks alive after the frame; tentative ones are left out here.
            boxes: (N, 4) x, y, w, h in pixels; None for a frame of which nothing is known.
            ids: (N,) of the targets; None numbers the boxes of a frame in their order.

        Raises:
            UsageError: boxes and ids disagree, or the time decreases.
        """
        step = 0 if self._last_time is None else time_ns - self._last_time
        if step < 0:
            raise UsageError(f"time {time_ns} ns comes after {self._last_time} ns: close() ends a sequence")
        self._last_time = time_ns
        if boxes is None:
            self._pairs = {}
            return
        names = list(range(len(boxes))) if ids is None else [int(each) for each in ids]
        if len(names) != len(boxes) or len(set(names)) != len(names):
            raise UsageError(f"{len(boxes)} boxes have ids {names}: one different id for each is needed")
        shown = [track for track in tracks if track.confirmed]
        # As exact as messages carry them, so that a live run and an offline one count alike.
        points = np.array([(track.x, track.y) for track in shown], np.float32).reshape(-1, 2)
        inside = points_in_boxes(np.asarray(boxes, np.float64).reshape(-1, 4), points)
        pairs = self._match(np.asarray(boxes).reshape(-1, 4), names, shown, points, inside)
        self._count(step, time_ns, names, shown, pairs, inside)

    def _match(self, boxes, names, shown, points, inside) -> list[tuple[int, int]]:
        index = {track.id: j for j, track in enumerate(shown)}
        pairs = []
        for i, name in enumerate(names):
            j = index.get(self._pairs.get(name, -1))
            if j is not None and inside[i, j]:
                pairs.append((i, j))
        left = [i for i in range(len(names)) if i not in {i for i, _ in pairs}]
        free = [j for j in range(len(shown)) if j not in {j for _, j in pairs}]
        if left and free:
            pairs += [(left[i], free[j]) for i, j in match_boxes(boxes[left], points[free])]
        return pairs

    def _count(self, step, time_ns, names, shown, pairs, inside) -> None:
        sums = self._sums
        sums.frames += 1
        sums.span_ns += step
        sums.target_ns += step * len(names)
        sums.points += len(names)
        sums.covered += len(pairs)
        sums.false_points += len(shown) - len(pairs)
        for name in names:
            self._first_seen.setdefault(name, time_ns)
        self._pairs = {names[i]: shown[j].id for i, j in pairs}
        for name, track_id in self._pairs.items():
            sums.switches += self._last_track.get(name, track_id) != track_id
            self._last_track[name] = track_id
            self._waited.setdefault(name, time_ns - self._first_seen[name])
        for j, track in enumerate(shown):
            presence = self._tracks.setdefault(track.id, _Presence())
            presence.frames += 1
            presence.on_target += bool(inside[:, j].any())
            presence.moving |= track.motion is MotionState.MOVING

    def close(self) -> None:
        """End the sequence: what it counted is kept, its tracks and targets are closed."""
        sums = self._sums
        false = [each for each in self._tracks.values() if each.on_target < TRUE_SHARE * each.frames]
        sums.tracks += len(self._tracks)
        sums.false_tracks += len(false)
        sums.false_moving_tracks += sum(each.moving for each in false)
        sums.targets += len(self._first_seen)
        sums.waits_ns += [self._waited.get(name, float("inf")) for name in self._first_seen]
        self._begin()

    def merge(self, other: TrackAccumulator) -> None:
        """Add the closed sequences of another accumulator."""
        for name, value in vars(other._sums).items():
            setattr(self._sums, name, getattr(self._sums, name) + value)

    def result(self) -> TrackResult:
        """Figures of the closed sequences."""
        sums = self._sums
        own = ("span_ns", "target_ns", "waits_ns")
        counts = {name: value for name, value in vars(sums).items() if name not in own}
        median = float(np.median(sums.waits_ns)) / 1e9 if sums.waits_ns else float("inf")
        minutes, target_minutes = sums.span_ns / 60e9, sums.target_ns / 60e9
        return TrackResult(
            **counts,
            seconds=sums.span_ns / 1e9,
            target_seconds=sums.target_ns / 1e9,
            never=sum(wait == float("inf") for wait in sums.waits_ns),
            coverage=_ratio(sums.covered, sums.points),
            false_a_minute=_ratio(sums.false_tracks, minutes),
            false_moving_a_minute=_ratio(sums.false_moving_tracks, minutes),
            switches_a_minute=_ratio(sums.switches, target_minutes),
            median_confirm_s=median if np.isfinite(median) else None,
        )


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None
