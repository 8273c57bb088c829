"""HOTA, IDF1 and MOTA by TrackEval (Luiten et al., IJCV 2021), where it is installed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dsad_core.metrics.counts import points_in_boxes
from dsad_core.tracking.track import Track


@dataclass(frozen=True)
class MotFigures:
    """Shares; HOTA with its parts for detection and association. A track is on a target or not (similarity 1 or 0):
    a small target has no overlap to speak of, so HOTA holds no share for localisation."""

    hota: float
    deta: float
    assa: float
    idf1: float
    mota: float


@dataclass
class MotSequence:
    """What TrackEval needs of a sequence: ids and who lies on whom, by labelled frame."""

    truth_ids: list[list[int]] = field(default_factory=list)
    track_ids: list[list[int]] = field(default_factory=list)
    similarity: list[np.ndarray] = field(default_factory=list)

    def add(self, ids: list[int], boxes: np.ndarray, tracks: Sequence[Track]) -> np.ndarray:
        """Add a labelled frame; returns (N, M) bool, which track's position lies in which box.

        Args:
            ids: of the boxes' targets.
            boxes: (N, 4) x, y, w, h in pixels.
            tracks: those shown, confirmed or coasting.
        """
        points = np.array([(track.x, track.y) for track in tracks], np.float32).reshape(-1, 2)
        inside = points_in_boxes(np.asarray(boxes, np.float64).reshape(-1, 4), points)
        self.truth_ids.append(ids)
        self.track_ids.append([track.id for track in tracks])
        self.similarity.append(inside.astype(np.float64))
        return inside

    def data(self) -> dict:
        """As TrackEval's metrics take it, ids counted from 0."""
        truth, truths = _from_zero(self.truth_ids)
        tracks, count = _from_zero(self.track_ids)
        return {
            "num_timesteps": len(truth),
            "num_gt_ids": truths,
            "num_tracker_ids": count,
            "num_gt_dets": sum(map(len, truth)),
            "num_tracker_dets": sum(map(len, tracks)),
            "gt_ids": truth,
            "tracker_ids": tracks,
            "similarity_scores": self.similarity,
        }


def mot_figures(sequences: Sequence[MotSequence]) -> MotFigures | None:
    """Figures over all sequences together; None where TrackEval is not installed or no target was labelled."""
    try:
        # Its data sets, of which none is used here, print which packages they lack.
        with contextlib.redirect_stdout(io.StringIO()):
            from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError:
        return None
    if not any(ids for sequence in sequences for ids in sequence.truth_ids):
        return None
    hota, clear, identity = HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})
    results = {}
    for name, metric in (("hota", hota), ("clear", clear), ("identity", identity)):
        parts = {str(i): metric.eval_sequence(each.data()) for i, each in enumerate(sequences)}
        results[name] = metric.combine_sequences(parts)
    return MotFigures(
        hota=float(np.mean(results["hota"]["HOTA"])),
        deta=float(np.mean(results["hota"]["DetA"])),
        assa=float(np.mean(results["hota"]["AssA"])),
        idf1=float(results["identity"]["IDF1"]),
        mota=float(results["clear"]["MOTA"]),
    )


def _from_zero(frames: list[list[int]]) -> tuple[list[np.ndarray], int]:
    order = {number: index for index, number in enumerate(sorted({each for ids in frames for each in ids}))}
    return [np.array([order[each] for each in ids], int) for ids in frames], len(order)
