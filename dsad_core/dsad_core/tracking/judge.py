"""Moving, still or unknown: a track's path against the scene, and how certain it is."""

import numpy as np

from dsad_core.tracking.bank import Bank
from dsad_core.tracking.settings import TrackerSettings
from dsad_core.tracking.track import MotionState

#: Seconds between two points of a path.
SPACING_SHARE = 0.1
#: Least length of path that shows a target to stand still, as a share of ``judge_s``.
STILL_SHARE = 0.6
#: Share of the path's points from which a moving target must have moved away.
MOVING_SHARE = 0.5


def judge(bank: Bank, now: float, settings: TrackerSettings) -> list[MotionState]:
    """What each track of the bank does, from the displacement since each point of its path.

    A track moves when a displacement exceeds both ``moving_px`` and ``moving_sigma`` deviations of the two
    positions and of the camera's motion between them. It is still when the longest look back is long enough and
    even the upper bound of its speed is below ``still_px_s``. Where the camera's motion was not known at some
    time of the look back, neither can be said.
    """
    states = [MotionState.UNKNOWN] * len(bank)
    if not states:
        return states
    age = now - bank.path_time
    usable = (age <= settings.judge_s * 1.05) & (age > 0) & ~bank.path_blind
    moved = np.linalg.norm(bank.position[:, None, :] - bank.path, axis=2)
    # A lamp head that falls into changing pieces scatters more than the filter's own variance says.
    sigma = np.sqrt(bank.path_var + np.maximum(bank.pp, bank.scatter)[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = usable & (moved > settings.moving_px) & (moved > settings.moving_sigma * sigma)
        bound = (moved + 2.0 * sigma) / age
        long_enough = usable & (age >= STILL_SHARE * settings.judge_s)
        rests = long_enough & (bound < settings.still_px_s)
    # Most of the path must agree: one bad detection is no movement.
    count = np.count_nonzero(usable, axis=1)
    moving = np.count_nonzero(moves, axis=1) >= np.maximum(2, MOVING_SHARE * count)
    still = rests.any(axis=1) & ~moving
    for row in np.flatnonzero(moving):
        states[row] = MotionState.MOVING
    for row in np.flatnonzero(still):
        states[row] = MotionState.STILL
    return states
