"""A threshold for a stated rate of false alarms, and scores that say how often an answer is true.

Both are chosen on what the training held out.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from dsad_core.components import find_components
from dsad_core.detector import Detector
from dsad_core.engines.manifest import HeldOutResult, ReliabilityBin, ScoreCalibration, ThresholdChoice
from dsad_core.errors import UsageError
from dsad_core.metrics.froc import FrocAccumulator, find_peaks
from dsad_core.targets import sigmoid
from dsad_training.data.packed import PackedSet
from dsad_training.data.union import names_hash

#: Thresholds that are worth setting.
LOWEST, HIGHEST = 0.05, 0.999
#: A pixel belongs to a target where that is likelier than not. Masks cut at a threshold for few false alarms hold the
#: cores alone.
OUTLINE = 0.5
#: False alarms a frame at which a model card gives Pd.
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: Peaks above this probability teach what a score is worth: what a mask or a tracker's weak pass may report.
REPORTED = 0.05
#: Bins of equal width of the reliability diagram.
BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Peaks of an engine on the held-out part of each set, by the set's name, and what these images are.

    Attributes:
        unlabelled: sets whose false alarms may be targets that nobody labelled; they have no say.
    """

    peaks: Mapping[str, FrocAccumulator]
    unlabelled: frozenset[str]
    split_hash: str
    images: int

    @property
    def judged(self) -> dict[str, FrocAccumulator]:
        return {name: peaks for name, peaks in self.peaks.items() if name not in self.unlabelled}

    def choose(self, rate: float) -> tuple[float, ThresholdChoice]:
        """The lowest threshold whose false alarms a frame, averaged over the judged sets, do not exceed ``rate``.

        Raises:
            UsageError: there is none.
        """
        logits = np.log(np.linspace(LOWEST, HIGHEST, 950) / (1 - np.linspace(LOWEST, HIGHEST, 950)))
        rates = np.mean(
            [
                [(peaks.false > limit).sum() / peaks.frames for limit in logits]
                for peaks in self.judged.values()
            ],
            axis=0,
        )
        allowed = np.flatnonzero(rates <= rate)
        if not len(allowed):
            raise UsageError(
                f"no threshold up to {HIGHEST} has so few as {rate:g} false alarms a frame: "
                f"there are {rates[-1]:.3g} left; give a higher --rate"
            )
        limit = logits[allowed[0]]
        sets = [self._set(name, float(limit)) for name in self.peaks]
        choice = ThresholdChoice(
            split_hash=self.split_hash, images=self.images, false_a_frame=rate, sets=sets
        )
        return round(float(sigmoid(limit)), 3), choice

    def _set(self, name: str, limit: float) -> HeldOutResult:
        peaks = self.peaks[name]
        result = peaks.result(RATES)
        pd = round(float((peaks.found > limit).sum() / peaks.targets), 4) if peaks.targets else None
        return HeldOutResult(
            data_set=name,
            frames=peaks.frames,
            targets=peaks.targets,
            pd=pd,
            false_a_frame=round(float((peaks.false > limit).sum() / peaks.frames), 4),
            pd_at={allowed: _rounded(value) for allowed, value in result.pd.items()},
            auc=_rounded(result.auc),
            ceiling=_rounded(result.ceiling),
            judged=name not in self.unlabelled,
        )

    def scores(self) -> ScoreCalibration:
        """Logistic regression of true and false on the logit of the peaks (Platt 1999).

        Every judged set weighs alike, as if frames came from each in turn.

        Raises:
            UsageError: no peak is true, none is false, or true ones score no higher than false ones.
        """
        limit = np.log(REPORTED / (1 - REPORTED))
        parts: list[tuple[np.ndarray, float, float]] = []
        for peaks in self.judged.values():
            for scores, is_true in ((peaks.found, 1.0), (peaks.false, 0.0)):
                shown = scores[scores > limit]
                parts.append((shown, is_true, 1.0 / peaks.frames))
        logits = np.concatenate([shown for shown, _, _ in parts])
        true = np.concatenate([np.full(len(shown), is_true) for shown, is_true, _ in parts])
        weights = np.concatenate([np.full(len(shown), weight) for shown, _, weight in parts])
        if len(np.unique(true)) < 2:
            raise UsageError("scores need true and false answers on held-out images; there is one kind alone")
        weights = weights / weights.sum()

        scale, offset = _logistic(logits, true, weights)
        if scale <= 0:
            raise UsageError("scores do not order: true answers score no higher than false ones")
        chance = sigmoid(scale * logits + offset)
        bins = np.minimum((chance * BINS).astype(int), BINS - 1)
        reliability = [
            ReliabilityBin(
                score=round(float(np.average(chance[inside], weights=weights[inside])), 4),
                true=round(float(np.average(true[inside], weights=weights[inside])), 4),
                answers=int(inside.sum()),
            )
            for inside in (bins == number for number in np.unique(bins))
        ]
        return ScoreCalibration(
            scale=round(float(scale), 5),
            offset=round(float(offset), 5),
            answers=len(logits),
            reliability=reliability,
        )


def _logistic(logits: np.ndarray, true: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Scale and offset whose sigmoid is the most likely chance of ``true`` (n,) 0 or 1, given ``weights`` (n,)."""
    x, y, w = (torch.from_numpy(part) for part in (logits.astype(np.float64), true, weights))
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([line], max_iter=100, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = F.binary_cross_entropy_with_logits(line[0] * x + line[1], y, w, reduction="sum")
        value.backward()
        return value

    optimiser.step(loss)
    scale, offset = line.tolist()
    return scale, offset


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def calibrate(
    detector: Detector, data: PackedSet, names: list[str], loose: set[str], unlabelled: Set[str] = frozenset()
) -> Calibration:
    """Run a detector over held-out images.

    Args:
        detector: whose ``value_range`` is (0, 255), the scale of ``data``.
        names: of the groups of ``data``.
        loose: groups whose targets are boxes.
        unlabelled: see `Calibration`.
    """
    peaks = {name: FrocAccumulator() for name in names}
    # Images of one size behind each other: an engine may prepare itself for every size.
    order = sorted(range(len(data)), key=lambda index: data.size[index].tolist())
    for index in order:
        name = names[int(data.group[index])]
        image, mask = data.image(index)
        frame = image.to(torch.uint8) if bool((image == image.round()).all()) else image
        found = find_peaks(detector.detect(frame.numpy()).logits)
        if name in loose:
            boxes = cv2.connectedComponentsWithStats((mask.numpy() > 0).astype(np.uint8), connectivity=8)[2]
            peaks[name].update(found, boxes=boxes[1:, :4])
        else:
            targets = (mask == 1).numpy()
            peaks[name].update(found, centroids=find_components(targets).centroids, mask=targets)
    seen = {name: each for name, each in peaks.items() if each.frames}
    return Calibration(seen, frozenset(unlabelled), names_hash(data.names), len(data))
