"""Libraries of trackers behind one face, each where it is installed; none is a dependency.

norfair (Tryolabs), roboflow's trackers (SORT, ByteTrack, OC-SORT, BoT-SORT) and Stone Soup (Dstl).
"""

from __future__ import annotations

import datetime
import importlib.util
from collections.abc import Callable

import cv2
import numpy as np

from dsad_core.frame.normalise import to_unit
from dsad_core.targets import sigmoid
from dsad_core.tracking import Track
from dsad_tools.bench.trackers import (
    BOX_SIDE,
    COAST_S,
    HITS,
    FrameTracker,
    Given,
    Nearest,
    Ours,
    confirmed_at,
)

#: Standard deviation of the acceleration of Stone Soup's targets (white noise, px/s^1.5), as ours has it.
ACCELERATION = 40.0

Maker = Callable[[float, float], FrameTracker]


class Norfair:
    """norfair's tracker, pairing by distance."""

    def __init__(self, fps: float, threshold: float):
        import norfair

        self._detection = norfair.Detection
        self._tracker = norfair.Tracker(
            "mean_euclidean",
            distance_threshold=BOX_SIDE,
            hit_counter_max=round(COAST_S * fps),
            initialization_delay=HITS - 1,
        )

    def update(self, given: Given) -> list[Track]:
        detections = [self._detection(np.array([[target.x, target.y]])) for target in given.targets]
        return [confirmed_at(track.id, *track.estimate[0]) for track in self._tracker.update(detections)]


class Roboflow:
    """One of roboflow's trackers.

    Args:
        name: of its class.
        weak: whether it gets detections below the threshold, for its own second pass.
        sees: whether it gets the frame, to estimate the camera's motion by itself.
        options: of the class, beside patience and overlap.
    """

    def __init__(
        self, fps: float, name: str, weak: bool = False, sees: bool = False, **options: float | bool
    ):
        import supervision
        import trackers

        self._detections = supervision.Detections
        self._weak, self._sees = weak, sees
        if not sees:
            options = {"minimum_iou_threshold": 0.1, **options}
        self._tracker = getattr(trackers, name)(
            lost_track_buffer=round(COAST_S * fps),
            frame_rate=fps,
            minimum_consecutive_frames=HITS,
            **options,
        )

    def update(self, given: Given) -> list[Track]:
        targets = [*given.targets, *(given.weak if self._weak else ())]
        detections = self._detections.empty()
        if targets:
            centres = np.array([(target.x, target.y) for target in targets], np.float32)
            detections = self._detections(
                xyxy=np.hstack([centres - BOX_SIDE / 2, centres + BOX_SIDE / 2]),
                confidence=sigmoid(np.array([target.peak for target in targets])).astype(np.float32),
                class_id=np.zeros(len(targets), int),
            )
        if self._sees:
            grey = np.round(255 * to_unit(given.sample.image)).astype(np.uint8)
            answer = self._tracker.update(detections, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
        else:
            answer = self._tracker.update(detections)
        if answer.tracker_id is None:
            return []
        # It counts from 0, and gives -1 to what it has not confirmed.
        return [
            confirmed_at(number + 1, (left + right) / 2, (top + bottom) / 2)
            for (left, top, right, bottom), number in zip(answer.xyxy, answer.tracker_id)
            if number >= 0
        ]


class StoneSoup:
    """A Kalman filter with nearest global pairs, or with joint probabilities (JPDA)."""

    def __init__(self, fps: float, threshold: float, joint: bool = False):
        from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
        from stonesoup.dataassociator.probability import JPDA
        from stonesoup.deleter.time import UpdateTimeDeleter
        from stonesoup.hypothesiser.distance import DistanceHypothesiser
        from stonesoup.hypothesiser.probability import PDAHypothesiser
        from stonesoup.initiator.simple import MultiMeasurementInitiator
        from stonesoup.measures import Mahalanobis
        from stonesoup.models.measurement.linear import LinearGaussian
        from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
        from stonesoup.predictor.kalman import KalmanPredictor
        from stonesoup.types.detection import Detection
        from stonesoup.types.state import GaussianState
        from stonesoup.updater.kalman import KalmanUpdater

        self._joint, self._detection = joint, Detection
        axes = [ConstantVelocity(ACCELERATION**2), ConstantVelocity(ACCELERATION**2)]
        predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel(axes))
        self._model = LinearGaussian(4, (0, 2), np.diag([1.0, 1.0]))
        self._updater = KalmanUpdater(self._model)
        nearest = GNNWith2DAssignment(
            DistanceHypothesiser(predictor, self._updater, Mahalanobis(), missed_distance=5)
        )
        probable = PDAHypothesiser(
            predictor, self._updater, clutter_spatial_density=1e-5, prob_detect=0.9, prob_gate=0.9999
        )
        self._associator = JPDA(probable) if joint else nearest
        self._deleter = UpdateTimeDeleter(datetime.timedelta(seconds=COAST_S))
        self._initiator = MultiMeasurementInitiator(
            prior_state=GaussianState(np.zeros((4, 1)), np.diag([1, 120.0**2, 1, 120.0**2])),
            measurement_model=self._model,
            deleter=UpdateTimeDeleter(datetime.timedelta(seconds=0.15)),
            data_associator=nearest,
            updater=self._updater,
            min_points=HITS,
        )
        self._tracks: set = set()
        self._numbers: dict[str, int] = {}

    def update(self, given: Given) -> list[Track]:
        now = datetime.datetime(2000, 1, 1) + datetime.timedelta(microseconds=given.stamp_ns / 1e3)
        found = {
            self._detection(np.array([[t.x], [t.y]]), timestamp=now, measurement_model=self._model)
            for t in given.targets
        }
        used = set()
        for track, hypothesis in self._associator.associate(self._tracks, found, now).items():
            if self._joint:
                used |= {each.measurement for each in hypothesis if each}
                track.append(self._mixed(hypothesis, now))
            elif hypothesis:
                used.add(hypothesis.measurement)
                track.append(self._updater.update(hypothesis))
            else:
                track.append(hypothesis.prediction)
        self._tracks -= self._deleter.delete_tracks(self._tracks, timestamp=now)
        self._tracks |= self._initiator.initiate(found - used, now)
        return [
            confirmed_at(
                self._numbers.setdefault(track.id, len(self._numbers) + 1),
                track.state_vector[0],
                track.state_vector[2],
            )
            for track in self._tracks
        ]

    def _mixed(self, hypotheses, now: datetime.datetime):
        """The states of all hypotheses as one Gaussian; an update where a detection is likelier than none."""
        from stonesoup.functions import gm_reduce_single
        from stonesoup.types.array import StateVectors
        from stonesoup.types.prediction import GaussianStatePrediction
        from stonesoup.types.update import GaussianStateUpdate

        states = [self._updater.update(each) if each else each.prediction for each in hypotheses]
        weights = np.array([float(each.probability) for each in hypotheses])
        mean, covariance = gm_reduce_single(
            StateVectors([state.state_vector for state in states]),
            np.stack([state.covar for state in states], axis=2),
            weights,
        )
        if any(each and float(each.probability) > 0.5 for each in hypotheses):
            return GaussianStateUpdate(mean, covariance, hypotheses, now)
        return GaussianStatePrediction(mean, covariance, timestamp=now)


#: Name, package on PyPI, module, and what makes it from a frame rate and the threshold.
_ALL: tuple[tuple[str, str, str, Maker], ...] = (
    ("ours", "", "", lambda fps, threshold: Ours()),
    ("ours without weak detections", "", "", lambda fps, threshold: Ours(weak=False)),
    ("constant velocity, nearest", "", "", lambda fps, threshold: Nearest()),
    ("norfair", "norfair", "norfair", Norfair),
    (
        "SORT",
        "trackers",
        "trackers",
        lambda fps, threshold: Roboflow(fps, "SORTTracker", track_activation_threshold=0.0),
    ),
    (
        "ByteTrack",
        "trackers",
        "trackers",
        lambda fps, threshold: Roboflow(
            fps, "ByteTrackTracker", track_activation_threshold=0.0, high_conf_det_threshold=0.0
        ),
    ),
    (
        "ByteTrack with weak detections",
        "trackers",
        "trackers",
        lambda fps, threshold: Roboflow(
            fps,
            "ByteTrackTracker",
            weak=True,
            track_activation_threshold=threshold,
            high_conf_det_threshold=threshold,
        ),
    ),
    (
        "OC-SORT",
        "trackers",
        "trackers",
        lambda fps, threshold: Roboflow(fps, "OCSORTTracker", high_conf_det_threshold=0.0),
    ),
    (
        "BoT-SORT",
        "trackers",
        "trackers",
        lambda fps, threshold: Roboflow(
            fps,
            "BoTSORTTracker",
            sees=True,
            track_activation_threshold=0.0,
            high_conf_det_threshold=0.0,
            instant_first_frame_activation=False,
        ),
    ),
    ("Stone Soup, GNN", "stonesoup", "stonesoup", StoneSoup),
    ("Stone Soup, JPDA", "stonesoup", "stonesoup", lambda fps, threshold: StoneSoup(fps, threshold, True)),
)


def contenders() -> tuple[dict[str, Maker], list[str]]:
    """The trackers that this machine has, and the packages of those that it lacks."""
    here = {name: make for name, _, module, make in _ALL if not module or importlib.util.find_spec(module)}
    return here, sorted({package for name, package, _, _ in _ALL if name not in here})
