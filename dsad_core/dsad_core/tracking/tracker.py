"""Detections in, tracks out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from dsad_core.frame.clock import FrameClock
from dsad_core.hysteresis import logit
from dsad_core.targets import Target
from dsad_core.tracking.assignment import assign
from dsad_core.tracking.bank import Bank
from dsad_core.tracking.judge import SPACING_SHARE, judge
from dsad_core.tracking.life import Life
from dsad_core.tracking.memory import is_awaited, is_away, leave, recognise
from dsad_core.tracking.motion import Motion
from dsad_core.tracking.settings import TrackerSettings
from dsad_core.tracking.track import MotionState, Track, TrackState

#: Pixels around a box that still belong to its target.
RIM = 2.0
#: Seconds after a correction in which the sensor's pattern may look like faint targets.
CALM_S = 1.0


class Tracker:
    """Follows targets through frames: confirms them by M of N in time, coasts them over misses.

    Detections are given in two lists. Those above the engine's threshold pair first, with all tracks together;
    then the weak ones keep the tracks that got none, as ByteTrack does, and continue weak ones that began below the
    threshold. A hit's evidence is how far its peak lies above the threshold, in logits. A track whose mean evidence
    lies well below 0 is confirmed only where it moves against the scene.

    A confirmed track that leaves the view, or is lost in it, is not listed, but its place in the scene is kept for
    ``away_s`` or ``lost_s``: what appears there, above the threshold or confirmed, is this track again. So a sweeping
    camera keeps ids.

    Times are seconds between stamps: dropped frames, 9 Hz and 100 Hz give the same lives. A jump of the stamps
    (a looping bag, a new clock) ends all tracks. One tracker serves one camera and one thread.

    Args:
        settings: see there.

    Attributes:
        ended: the confirmed tracks that ended with the last frame.
        confirmed_count: tracks confirmed so far.
        jumps: jumps of the stamps so far.
    """

    def __init__(self, settings: TrackerSettings | None = None):
        self.settings = settings or TrackerSettings()
        self.ended: list[Track] = []
        self.confirmed_count = 0
        self._bank = Bank()
        self._lives: list[Life] = []
        self._clock = FrameClock()
        self._now = 0.0
        self._frame = 0
        self._motion_known = False
        self._frames: deque[float] = deque()
        self._next_id = 1
        self._threshold = 0.0  # logits
        self._corrected_at = -math.inf

    @property
    def jumps(self) -> int:
        return self._clock.jumps

    def update(
        self,
        stamp_ns: int,
        targets: Sequence[Target],
        weak: Sequence[Target] = (),
        motion: Motion | None = None,
        received_ns: int | None = None,
        is_scene: bool = True,
        size: tuple[int, int] | None = None,
        threshold: float = 0.5,
        corrected: bool = False,
    ) -> list[Track]:
        """Take one frame.

        Args:
            stamp_ns: of the frame's header, nanoseconds; 0 where there is none.
            targets: detections above the engine's threshold, in pixels of the frame.
            weak: detections below it (`weak_targets`).
            motion: of the camera since the last frame given; None for a camera that stands still.
            received_ns: moment of receipt on a steady clock, which stands in for stamps that don't move.
            is_scene: False for a frame that shows no scene (shutter, repeated, settling): tracks coast, and the
                frame is not counted against them.
            size: (height, width) of the frame; tracks that leave it end. None for a frame without end.
            threshold: the engine's, a probability in (0, 1): how far a peak lies from it, in logits, is the evidence.
            corrected: True for a frame of the camera's correction (shutter, settling): what is born within ``CALM_S``
                after it is confirmed by evidence above the threshold alone.

        Returns:
            The tracks alive after the frame, oldest first; tentative ones too.
        """
        tick = self._clock.tick(stamp_ns, received_ns)
        self.ended = []
        if tick.jumped:
            self._end(np.zeros(len(self._lives), bool))
            self._frames.clear()
        self._now += tick.seconds
        self._frame += 1
        if corrected:
            self._corrected_at = self._now
        settings, away = self.settings, is_away(self._lives)
        acceleration = np.where(away, settings.away_acceleration, settings.acceleration)
        self._bank.predict(tick.seconds, self._camera(motion), acceleration)
        for life in self._lives:
            life.target = None
        if is_scene:
            self._frames.append(self._now)
            while self._frames[0] < self._now - settings.window_s:
                self._frames.popleft()
            self._threshold = logit(threshold)
            self._pair(targets, weak)
        self._age(size)
        return [self._snapshot(row) for row, life in enumerate(self._lives) if not life.away]

    def reset(self) -> None:
        """End every track; ids go on counting."""
        self._end(np.zeros(len(self._lives), bool))

    def _camera(self, motion: Motion | None) -> Motion:
        if motion is None:
            return Motion.shift(0.0, 0.0, 0.0)
        was_known, self._motion_known = self._motion_known, motion.known
        if not motion.known:
            return Motion.unknown(self.settings.jerk_px if was_known else self.settings.failed_motion_px)
        return motion

    # Pairing

    def _pair(self, targets: Sequence[Target], weak: Sequence[Target]) -> None:
        everyone = np.flatnonzero(~is_away(self._lives))
        points, variances = self._measure(targets)
        pairs = self._match(everyone, points, variances)
        self._take(pairs, points, variances, targets, strong=True)
        without = np.setdiff1d(everyone, [row for row, _ in pairs])
        weak_points, weak_variances = self._measure(weak)
        weak_pairs = self._match(without, weak_points, weak_variances)
        self._take(weak_pairs, weak_points, weak_variances, weak, strong=False)
        self._start(targets, {column for _, column in pairs}, points, variances, strong=True)
        self._start(weak, {column for _, column in weak_pairs}, weak_points, weak_variances, strong=False)

    def _measure(self, targets: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
        points = np.array([(target.x, target.y) for target in targets], np.float64).reshape(-1, 2)
        longest = np.array([max(target.width, target.height) for target in targets], np.float64)
        settings = self.settings
        return points, settings.measurement_px**2 + np.square(settings.extent_share * longest)

    def _match(self, rows: np.ndarray, points: np.ndarray, variances: np.ndarray) -> list[tuple[int, int]]:
        if not len(rows) or not len(points):
            return []
        squared, spread = self._bank.distances(points, variances)
        squared, spread = squared[rows], spread[rows]
        gate = self.settings.gate**2
        # The likelihood of a pairing, and a lead for tracks with a history: they keep what a newcomer also claims.
        lead = np.array(
            [0.0 if self._lives[row].state is TrackState.TENTATIVE else -gate / 4 for row in rows]
        )
        cost = np.where(squared <= gate, squared + 2 * np.log(spread) + lead[:, None], np.inf)
        # Leaving anything alone must cost more than the dearest pair, so that as many as possible are paired.
        finite = cost[np.isfinite(cost)]
        limit = 2 * finite.max() - finite.min() + 1.0 if finite.size else 0.0
        return [(int(rows[i]), j) for i, j in assign(cost, limit)]

    def _take(self, pairs, points, variances, targets: Sequence[Target], strong: bool) -> None:
        if not pairs:
            return
        rows, columns = (np.array(side) for side in zip(*pairs))
        self._bank.update(rows, points[columns], variances[columns])
        for row, column in pairs:
            self._hit(self._lives[row], targets[column], column if strong else None)

    def _hit(self, life: Life, target: Target, index: int | None) -> None:
        life.hits += 1
        life.last_hit = self._now
        life.hit_frame = self._frame
        life.recent.append((self._now, target.peak - self._threshold))
        life.scores.append(target.score)
        life.box = (target.left - target.x, target.top - target.y, target.width, target.height)
        life.target = index

    def _start(self, targets: Sequence[Target], taken: set[int], points, variances, strong: bool) -> None:
        room = self.settings.max_tracks - len(self._lives)
        boxes = [
            (x + life.box[0], y + life.box[1], *life.box[2:])
            for life, (x, y) in zip(self._lives, self._bank.position)
            if life.hit_frame == self._frame
        ]
        free: list[int] = []
        for column, target in enumerate(targets):
            if len(free) >= room:
                break
            if column not in taken and not any(_inside(target, box) for box in boxes):
                free.append(column)
                boxes.append((target.left, target.top, target.width, target.height))
        if not free:
            return
        self._bank.add(points[free], variances[free], self.settings.speed_px_s)
        for column in free:
            life = Life(self._next_id, self._now, self._now)
            self._next_id += 1
            self._hit(life, targets[column], column if strong else None)
            self._lives.append(life)

    # Lives

    def _age(self, size: tuple[int, int] | None) -> None:
        settings, now = self.settings, self._now
        if not self._lives:
            return
        hit = np.array([life.hit_frame == self._frame for life in self._lives])
        spacing = SPACING_SHARE * settings.judge_s
        rows = np.flatnonzero(hit)
        self._bank.remember(rows, now, spacing, np.full(len(rows), settings.measurement_px**2))
        for life, motion in zip(self._lives, judge(self._bank, now, settings)):
            if motion is not MotionState.UNKNOWN or life.motion is MotionState.STILL:
                life.motion = motion
        alive = np.ones(len(self._lives), bool)
        outside, sigma = self._outside(size), np.sqrt(self._bank.pp)
        awaited = is_awaited(self._bank, self._lives, settings.away_gate)
        confirmed: list[int] = []
        firm: list[int] = []
        for row, life in enumerate(self._lives):
            while life.recent and life.recent[0][0] < now - settings.window_s:
                life.recent.popleft()
            missed = now - life.last_hit
            if life.state is TrackState.TENTATIVE:
                if hit[row] and self._confirms(life):
                    confirmed.append(row)
                elif life.target is not None:
                    firm.append(row)
                alive[row] = missed <= settings.tentative_coast_s and self._can_confirm(life)
                continue
            life.state = TrackState.CONFIRMED if hit[row] else TrackState.COASTING
            if outside[row]:
                leave(self._bank, row, life, now)
            if not life.away and (missed > settings.coast_s or sigma[row] > settings.lost_sigma_px):
                leave(self._bank, row, life, now)
                # Below, what is away has ``coast_s`` from here: lost in view, it has ``lost_s``.
                life.away_at += settings.lost_s - settings.coast_s
            if life.left_at is not None:
                due = life.away_at + settings.coast_s, life.left_at + settings.away_s
                known = bool(self._bank.pp[row] <= settings.away_sigma_px**2) and now <= min(due)
                alive[row] = known or (awaited[row] and now <= max(due))
        returned = recognise(self._bank, self._lives, confirmed + firm, alive, settings.away_gate)
        for row in set(confirmed) - returned:
            self._lives[row].state = TrackState.CONFIRMED
            self.confirmed_count += 1
        if not alive.all():
            self._end(alive)

    def _outside(self, size: tuple[int, int] | None) -> np.ndarray:
        """(N,) bool: positions farther outside of the frame than a target's rim."""
        if size is None:
            return np.zeros(len(self._bank), bool)
        place, end = self._bank.position, np.array(size[::-1])
        return np.any((place < -RIM - 0.5) | (place > end - 0.5 + RIM), axis=1)

    def _confirms(self, life: Life) -> bool:
        settings, age = self.settings, self._now - life.born + 1e-9
        moves = life.motion is MotionState.MOVING
        share = settings.confirm_share if moves else settings.still_share
        if len(life.recent) < max(settings.confirm_hits, share * self._frames_since(life.born)):
            return False
        evidence = sum(evidence for _, evidence in life.recent) / len(life.recent)
        if evidence >= 0.0:
            return age >= settings.confirm_s
        if 0.0 <= life.born - self._corrected_at <= CALM_S:
            return False
        return age >= settings.weak_confirm_s and (moves or evidence >= -settings.firm_drop)

    def _can_confirm(self, life: Life) -> bool:
        """A tentative track that lost too many of its frames starts again from its next detection."""
        frames = self._frames_since(life.born)
        return len(life.recent) >= 0.5 * self.settings.confirm_share * frames

    def _frames_since(self, born: float) -> int:
        return sum(time >= born for time in self._frames)

    def _end(self, alive: np.ndarray) -> None:
        for row in np.flatnonzero(~alive).tolist():
            life = self._lives[row]
            if life.state is not TrackState.TENTATIVE:
                life.state = TrackState.ENDED
                self.ended.append(self._snapshot(row))
        self._bank.keep(alive)
        self._lives = [life for life, stays in zip(self._lives, alive) if stays]

    def _snapshot(self, row: int) -> Track:
        life = self._lives[row]
        x, y = self._bank.position[row].tolist()
        vx, vy = self._bank.velocity[row].tolist()
        left, top, width, height = life.box
        return Track(
            id=life.id,
            state=life.state,
            motion=life.motion,
            age_s=self._now - life.born,
            hits=life.hits,
            missed_s=self._now - life.last_hit,
            x=x,
            y=y,
            vx=vx,
            vy=vy,
            covariance=self._bank.covariance(row),
            score=sum(life.scores) / len(life.scores),
            left=x + left,
            top=y + top,
            width=width,
            height=height,
            target=life.target,
        )


def _inside(target: Target, box: tuple[float, float, float, float]) -> bool:
    """Whether a target lies in a box or on its rim: then it is one more piece of what is there already."""
    left, top, width, height = box
    across, down = target.x - left, target.y - top
    return -RIM <= across <= width - 1 + RIM and -RIM <= down <= height - 1 + RIM
