"""Free-response operating curve: the share of targets found over the false alarms a frame that this costs.

Pd and Fa of a mask hold at one threshold and depend on how components merge there. A FROC curve takes each local
maximum of the logits as an answer with a score, so that one pass over the frames gives every threshold.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dsad_core.errors import UsageError

#: A peak answers for a target whose centroid lies at most this far away, px.
REACH = 5.0
#: Peaks of a frame that are looked at, strongest first.
MOST = 200
#: Peaks closer than this to a stronger one are no answers of their own, px.
APART = 2
#: False alarms a frame at which Pd is printed.
RATES = (0.01, 0.1, 1.0)


@dataclass(frozen=True)
class Peaks:
    """Local maxima: ``places`` (n,2) x, y in pixels and ``scores`` (n,), strongest first."""

    places: np.ndarray
    scores: np.ndarray


def find_peaks(logits: np.ndarray, least: float = -12.0) -> Peaks:
    """Local maxima of logits (H,W) float32 above ``least``, the strongest ``MOST`` of them."""
    window = np.ones((2 * APART + 1, 2 * APART + 1), np.uint8)
    highest = (logits >= cv2.dilate(logits, window)) & (logits > least)
    # A plateau is one peak.
    count, labels, _, centres = cv2.connectedComponentsWithStats(highest.astype(np.uint8), connectivity=8)
    if count == 1:
        return Peaks(np.empty((0, 2)), np.empty(0, np.float32))
    scores = np.full(count, -np.inf, np.float32)
    np.maximum.at(scores, labels[highest].astype(np.intp), logits[highest])
    order = np.argsort(-scores[1:], kind="stable")[:MOST] + 1
    return Peaks(centres[order], scores[order])


@dataclass(frozen=True)
class FrocResult:
    """What a FROC curve says.

    Attributes:
        pd: share of targets found, by false alarms a frame (the keys); None without a target.
        thresholds: the probability above which exactly that happens; 1.0 where a rate needs one above all.
        auc: probability that a true peak scores above a false one; None where one kind is missing.
        ceiling: share of the peaks above probability 0.5 whose score lies within 1 % of the largest.
    """

    frames: int
    targets: int
    pd: dict[float, float | None]
    thresholds: dict[float, float]
    auc: float | None
    ceiling: float | None


class FrocAccumulator:
    """Collects peaks of frames, found and false; two accumulators merge to the one that saw all frames."""

    def __init__(self) -> None:
        self.frames = 0
        self.targets = 0
        self._found: list[np.ndarray] = []
        self._false: list[np.ndarray] = []

    def update(
        self,
        peaks: Peaks,
        centroids: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> None:
        """Add a frame.

        The strongest peak near a target finds it; further peaks near it or on it count neither way.

        Args:
            centroids: (t,2) x, y of the targets, or
            boxes: (t,4) left, top, width, height: a peak inside a box finds it.
            mask: (H,W), pixels of the targets > 0. A peak on them, or one pixel beside, is no false alarm,
                though it may lie too far from the centroid of a large target to find it.

        Raises:
            UsageError: neither or both are given.
        """
        if boxes is not None and centroids is None:
            near = _inside(peaks.places, boxes)
        elif centroids is not None and boxes is None:
            near = _near_centroids(peaks.places, centroids)
        else:
            raise UsageError("a FROC frame needs centroids or boxes, not both")
        self.frames += 1
        self.targets += near.shape[1]
        # Strongest first: the first peak near a target is its strongest.
        found = np.unique([column.argmax() for column in near.T if column.any()]).astype(int)
        self._found.append(peaks.scores[found])
        false = ~near.any(1)
        if mask is not None and len(peaks.places):
            x, y = np.rint(peaks.places).astype(int).T
            false &= cv2.dilate((mask > 0).astype(np.uint8), np.ones((3, 3), np.uint8))[y, x] == 0
        self._false.append(peaks.scores[false])

    def merge(self, other: "FrocAccumulator") -> None:
        """Add all that another accumulator has seen."""
        self.frames += other.frames
        self.targets += other.targets
        self._found += other._found
        self._false += other._false

    @property
    def found(self) -> np.ndarray:
        """Scores of the peaks that found a target, strongest first."""
        return -np.sort(-np.concatenate([*self._found, np.empty(0)]))

    @property
    def false(self) -> np.ndarray:
        """Scores of the false peaks, strongest first."""
        return -np.sort(-np.concatenate([*self._false, np.empty(0)]))

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """False alarms a frame, rising, and the Pd that each allows."""
        false, found = self.false, self.found
        above = np.searchsorted(-found, -false, side="left")
        rates = np.arange(1, len(false) + 1) / max(self.frames, 1)
        return rates, above / max(self.targets, 1)

    def result(self, rates: tuple[float, ...] = RATES) -> FrocResult:
        """Pd and threshold at each of ``rates`` (false alarms a frame), and how scores order."""
        false, found = self.false, self.found
        pd, thresholds = {}, {}
        for rate in rates:
            allowed = int(np.floor(rate * self.frames + 1e-9))
            limit = false[allowed] if allowed < len(false) else -np.inf
            pd[rate] = float((found > limit).sum() / self.targets) if self.targets else None
            thresholds[rate] = float(1 / (1 + np.exp(-np.clip(limit, -60, 60))))
        every = np.concatenate([found, false])
        shown = every[every > 0]
        ceiling = float((shown > 0.99 * shown.max()).mean()) if len(shown) else None
        return FrocResult(self.frames, self.targets, pd, thresholds, _auc(found, false), ceiling)


def _near_centroids(places: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    distance = np.linalg.norm(places[:, None] - np.reshape(centroids, (-1, 2))[None], axis=2)
    return distance <= REACH


def _inside(places: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    left, top, width, height = np.reshape(boxes, (-1, 4)).T
    x, y = places[:, :1], places[:, 1:]
    return (x >= left) & (x < left + width) & (y >= top) & (y < top + height)


def _auc(found: np.ndarray, false: np.ndarray) -> float | None:
    if not len(found) or not len(false):
        return None
    rising = np.sort(false)
    below = np.searchsorted(rising, found, side="left")
    equal = np.searchsorted(rising, found, side="right") - below
    return float((below + equal / 2).mean() / len(false))
