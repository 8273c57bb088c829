"""The camera's motion from what turns with it: a gyroscope, or an attitude that somebody else knows."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from dsad_core.targets import Target
from dsad_core.tracking.motion import Motion

#: Seconds of rates that are kept, the longest gap between two of them, and how long the newest one holds on.
KEPT_S, LONGEST_GAP_S, AHEAD_S = 2.0, 0.1, 0.02
#: Deviation of the rate: noise, bias, and what the mounting is off, rad/s.
SIGMA_RAD_S = 0.01
#: Two frames farther apart have too little in common, radians.
LARGEST_TURN = 0.5
#: Deviation of a position that was carried over, at least, pixels.
LEAST_SIGMA_PX = 0.05


class Gyroscope:
    """Integrates angular rates of the camera; one thread adds them, another asks.

    Args:
        mounting: (3, 3), takes vectors of the gyroscope's frame into the camera's optical frame (x right, y down,
            z forward).
    """

    def __init__(self, mounting: np.ndarray):
        self._mounting = mounting
        self._lock = threading.Lock()
        self._times: deque[int] = deque()
        self._rates: deque[np.ndarray] = deque()
        self._attitudes: deque[np.ndarray] = deque()  # optical frame -> one that does not turn

    def add(self, stamp_ns: int, rate: Sequence[float]) -> None:
        """Take a rate (3,) rad/s of the gyroscope's frame. A step back or a long gap begins anew."""
        omega = self._mounting @ np.asarray(rate, np.float64)
        with self._lock:
            step = (stamp_ns - self._times[-1]) / 1e9 if self._times else 0.0
            if step < 0.0 or step > LONGEST_GAP_S:
                for kept in (self._times, self._rates, self._attitudes):
                    kept.clear()
            attitude = np.eye(3)
            if self._times:
                attitude = self._attitudes[-1] @ _turn((self._rates[-1] + omega) / 2 * step)
            self._times.append(stamp_ns)
            self._rates.append(omega)
            self._attitudes.append(attitude)
            while stamp_ns - self._times[0] > KEPT_S * 1e9:
                self._times.popleft(), self._rates.popleft(), self._attitudes.popleft()

    def between(self, last_ns: int, now_ns: int) -> np.ndarray | None:
        """(3, 3) that takes vectors of the optical frame at one time into it at another; None where not covered."""
        with self._lock:
            last, now = self._attitude(last_ns), self._attitude(now_ns)
        return None if last is None or now is None else now.T @ last

    def _attitude(self, stamp_ns: int) -> np.ndarray | None:
        index = bisect_right(self._times, stamp_ns) - 1
        if index < 0:
            return None
        step = (stamp_ns - self._times[index]) / 1e9
        if index + 1 < len(self._times):
            span = (self._times[index + 1] - self._times[index]) / 1e9
            start, end = self._rates[index], self._rates[index + 1]
            rate = start + (end - start) * step / (2 * span)  # the mean of what changes evenly
        elif step <= AHEAD_S:
            rate = self._rates[index]
        else:
            return None
        return self._attitudes[index] @ _turn(rate * step)


@dataclass(frozen=True)
class Turned(Motion):
    """The motion of a camera that turned, exact over the whole frame; ``matrix`` is its slope at the centre.

    Attributes:
        homography: (3, 3), pixels of the last frame to pixels of this one.
    """

    homography: np.ndarray = field(default_factory=lambda: np.eye(3))

    def carry(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the last frame in this frame."""
        seen = points @ self.homography[:, :2].T + self.homography[:, 2]
        return seen[:, :2] / seen[:, 2:]

    @classmethod
    def by(cls, homography: np.ndarray, shape: tuple[int, int], sigma_px: float) -> Turned:
        """Of a homography, for frames of ``shape`` (height, width)."""
        motion = cls(np.eye(2, 3), sigma_px, homography=homography)
        centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
        around = motion.carry(centre + np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]]))
        slope = np.stack([around[1] - around[0], around[3] - around[2]], axis=1) / 2
        offset = motion.carry(centre[None, :])[0] - slope @ centre
        return replace(motion, matrix=np.column_stack([slope, offset]))


class AttitudeMotion:
    """A `MotionSource` that knows how the camera turned; what its own way adds is small for distant scenes.

    Args:
        between: (last, now) in nanoseconds -> (3, 3) that takes vectors of the optical frame then into it now, or
            None where nobody knows, such as `Gyroscope.between`.
        camera_matrix: (height, width) of a frame -> (3, 3), or None without a calibration.
    """

    def __init__(
        self,
        between: Callable[[int, int], np.ndarray | None],
        camera_matrix: Callable[[int, int], np.ndarray | None],
    ):
        self.failures = 0
        self._between = between
        self._camera_matrix = camera_matrix
        self._last: tuple[int, tuple[int, int]] | None = None

    def reset(self) -> None:
        """Forget the last frame: the next one starts a series."""
        self._last = None

    def update(self, frame: np.ndarray, targets: Sequence[Target] = (), stamp_ns: int = 0) -> Motion:
        """Motion from the last frame given to this one (H, W), whose pixels and targets are not looked at."""
        last, self._last = self._last, (stamp_ns, frame.shape)
        if last is None or last[1] != frame.shape:
            return Motion.unknown()
        matrix = self._camera_matrix(*frame.shape)
        turn = self._between(last[0], stamp_ns)
        if matrix is None or turn is None or np.linalg.norm(cv2.Rodrigues(turn)[0]) > LARGEST_TURN:
            self.failures += 1
            return Motion.unknown()
        seconds = abs(stamp_ns - last[0]) / 1e9
        sigma = max(matrix[0, 0], matrix[1, 1]) * SIGMA_RAD_S * seconds
        homography = matrix @ turn @ np.linalg.inv(matrix)
        return Turned.by(homography, frame.shape, float(max(sigma, LEAST_SIGMA_PX)))


def _turn(vector: np.ndarray) -> np.ndarray:
    """(3, 3) rotation by a rotation vector, radians."""
    return cv2.Rodrigues(vector)[0]
