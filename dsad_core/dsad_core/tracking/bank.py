"""All tracks' kinematics in arrays: prediction, the camera's motion, and updates, without a loop.

Constant velocity with white acceleration. Position and velocity errors are taken as the same in x and y and
independent of each other, so a 2x2 covariance a track says everything, and rotations leave it as it is.
"""

from __future__ import annotations

import numpy as np

from dsad_core.tracking.motion import Motion

#: Points kept of each track's past path, to tell a movement from noise.
PATH_POINTS = 12
#: Weight of the newest detection in a track's scatter.
SCATTER_GAIN = 0.1
#: Shortest path, in seconds, that tells a course.
STRAIGHT_S = 0.3


class Bank:
    """Rows are tracks, in the order of birth.

    Attributes:
        position, velocity: (N, 2) float64 px in the present frame, px/s against the scene.
        pp, pv, vv: (N,) variances and covariance of position and velocity, an axis.
        scatter: (N,) running mean of the squared distance, an axis, of detections from where they were expected, px^2.
        path: (N, PATH_POINTS, 2) past positions in the present frame, NaN where there is none.
        path_time: (N, PATH_POINTS) seconds of the tracker's clock when each was taken.
        path_var: (N, PATH_POINTS) variance an axis that has gathered on each since, px^2.
        path_blind: (N, PATH_POINTS) bool, True where the camera's motion was unknown at some time since.
    """

    def __init__(self) -> None:
        self.position, self.velocity = np.empty((0, 2)), np.empty((0, 2))
        self.pp, self.pv, self.vv = np.empty(0), np.empty(0), np.empty(0)
        self.scatter = np.empty(0)
        self.path = np.empty((0, PATH_POINTS, 2))
        self.path_time, self.path_var = np.empty((0, PATH_POINTS)), np.empty((0, PATH_POINTS))
        self.path_blind = np.empty((0, PATH_POINTS), bool)

    def __len__(self) -> int:
        return len(self.pp)

    def predict(self, dt: float, motion: Motion, acceleration: float | np.ndarray) -> None:
        """Move every track ``dt`` seconds on and into the new frame's pixels; ``acceleration`` of all or of each."""
        q = acceleration**2
        self.position = motion.carry(self.position + dt * self.velocity)
        self.velocity = self.velocity @ motion.matrix[:, :2].T
        self.pp = self.pp + 2 * dt * self.pv + dt**2 * self.vv + q * dt**3 / 3
        self.pv = self.pv + dt * self.vv + q * dt**2 / 2
        self.vv = self.vv + q * dt
        grown, drift = motion.scale**2, motion.sigma_px**2
        self.pp, self.pv, self.vv = grown * self.pp + drift, grown * self.pv, grown * self.vv
        shape = self.path.shape
        self.path = motion.carry(self.path.reshape(-1, 2)).reshape(shape)
        self.path_var = grown * self.path_var + drift
        self.path_blind |= not motion.known

    def distances(self, points: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared Mahalanobis distance and innovation variance an axis, both (N, M).

        Args:
            points: (M, 2) px.
            variances: (M,) of the measurements, an axis, px^2.
        """
        spread = self.pp[:, None] + variances[None, :]
        squared = np.square(self.position[:, None, :] - points[None, :, :]).sum(axis=2)
        return squared / spread, spread

    def update(self, rows: np.ndarray, points: np.ndarray, variances: np.ndarray) -> None:
        """Take one measurement for each of the rows."""
        pp, pv, vv = self.pp[rows], self.pv[rows], self.vv[rows]
        total = pp + variances
        residual = points - self.position[rows]
        self.scatter[rows] += SCATTER_GAIN * (np.square(residual).sum(axis=1) / 2 - self.scatter[rows])
        self.position[rows] += (pp / total)[:, None] * residual
        self.velocity[rows] += (pv / total)[:, None] * residual
        self.pp[rows] = pp * variances / total
        self.pv[rows] = pv * variances / total
        self.vv[rows] = vv - pv**2 / total

    def remember(self, rows: np.ndarray, now: float, spacing: float, variances: np.ndarray) -> None:
        """Put the rows' present positions at the head of their paths, if the last is ``spacing`` s old."""
        due = ~(now - self.path_time[rows, 0] < spacing)
        rows, variances = rows[due], variances[due]
        for array in (self.path, self.path_time, self.path_var, self.path_blind):
            array[rows, 1:] = array[rows, :-1]
        self.path[rows, 0] = self.position[rows]
        self.path_time[rows, 0] = now
        self.path_var[rows, 0] = np.minimum(self.pp[rows], variances)
        self.path_blind[rows, 0] = False

    def straighten(self, row: int, now: float) -> None:
        """Carry a row on from its path, not from its last steps: the border cuts a target that leaves, which bends them.

        A path shorter than ``STRAIGHT_S`` changes nothing.
        """
        known = np.flatnonzero(~np.isnan(self.path_time[row]))
        if len(known) < 3:
            return
        # The newest point may lie on the border already.
        new, old = known[1], known[-1]
        span, since = self.path_time[row, new] - self.path_time[row, old], now - self.path_time[row, new]
        if span < STRAIGHT_S:
            return
        self.velocity[row] = (self.path[row, new] - self.path[row, old]) / span
        self.position[row] = self.path[row, new] + since * self.velocity[row]
        self.vv[row] = (self.path_var[row, new] + self.path_var[row, old]) / span**2
        self.pv[row] = since * self.vv[row]
        self.pp[row] = self.path_var[row, new] + since**2 * self.vv[row]

    def resume(self, row: int, newcomer: int) -> None:
        """Go on in a row with what a newcomer measured; its own velocity stays where the newcomer's is less certain."""
        velocity, vv = self.velocity[row].copy(), self.vv[row]
        for array in vars(self).values():
            array[row] = array[newcomer]
        if vv < self.vv[row]:
            self.velocity[row], self.vv[row], self.pv[row] = velocity, vv, 0.0

    def add(self, points: np.ndarray, variances: np.ndarray, speed: float) -> None:
        """Start tracks at points (M, 2) with an unknown velocity of deviation ``speed``."""
        count = len(points)
        self.position = np.vstack([self.position, points])
        self.velocity = np.vstack([self.velocity, np.zeros((count, 2))])
        self.pp = np.append(self.pp, variances)
        self.pv = np.append(self.pv, np.zeros(count))
        self.vv = np.append(self.vv, np.full(count, speed**2))
        self.scatter = np.append(self.scatter, variances)
        nothing = np.full((count, PATH_POINTS), np.nan)
        self.path = np.concatenate([self.path, np.repeat(nothing[:, :, None], 2, axis=2)])
        self.path_time = np.vstack([self.path_time, nothing])
        self.path_var = np.vstack([self.path_var, nothing])
        self.path_blind = np.vstack([self.path_blind, np.zeros((count, PATH_POINTS), bool)])

    def keep(self, rows: np.ndarray) -> None:
        """Drop all but these rows (a boolean mask or indices)."""
        for name in vars(self):
            setattr(self, name, getattr(self, name)[rows])

    def covariance(self, row: int) -> np.ndarray:
        """(4, 4) of (x, y, vx, vy)."""
        # Written out: np.kron takes ten times as long, for every track of every frame.
        pp, pv, vv = self.pp[row], self.pv[row], self.vv[row]
        return np.array([[pp, 0.0, pv, 0.0], [0.0, pp, 0.0, pv], [pv, 0.0, vv, 0.0], [0.0, pv, 0.0, vv]])
