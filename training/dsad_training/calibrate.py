"""A threshold for a stated rate of false alarms, chosen on what the training held out."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dsad_core.detector import Detector
from dsad_core.engines.manifest import ThresholdChoice
from dsad_core.metrics.counts import find_components
from dsad_core.metrics.froc import FrocAccumulator, find_peaks
from dsad_training.data.packed import PackedSet
from dsad_training.data.union import names_hash

#: Thresholds that are worth setting.
LOWEST, HIGHEST = 0.05, 0.999


@dataclass(frozen=True)
class Calibration:
    """Peaks of an engine on the held-out part of each set, by the set's name, and what these images are."""

    peaks: Mapping[str, FrocAccumulator]
    split_hash: str
    images: int

    def choose(self, rate: float, unlabelled: set[str]) -> tuple[float, ThresholdChoice]:
        """The lowest threshold whose false alarms a frame, averaged over the sets, do not exceed ``rate``.

        Args:
            unlabelled: sets whose false alarms may be targets that nobody labelled; they have no say.
        """
        judged = {name: peaks for name, peaks in self.peaks.items() if name not in unlabelled}
        logits = np.log(np.linspace(LOWEST, HIGHEST, 950) / (1 - np.linspace(LOWEST, HIGHEST, 950)))
        rates = np.mean(
            [[(peaks.false > limit).sum() / peaks.frames for limit in logits] for peaks in judged.values()],
            axis=0,
        )
        allowed = np.flatnonzero(rates <= rate)
        limit = logits[allowed[0]] if len(allowed) else logits[-1]
        threshold = round(float(1 / (1 + np.exp(-limit))), 3)
        pd = {
            name: round(float((peaks.found > limit).sum() / peaks.targets), 4)
            for name, peaks in judged.items()
            if peaks.targets
        }
        choice = ThresholdChoice(
            data=" + ".join(judged),
            split_hash=self.split_hash,
            images=self.images,
            false_a_frame=rate,
            pd=pd,
        )
        return threshold, choice


def calibrate(detector: Detector, data: PackedSet, names: list[str], loose: set[str]) -> Calibration:
    """Run a detector over held-out images.

    Args:
        detector: whose ``value_range`` is (0, 255), the scale of ``data``.
        names: of the groups of ``data``.
        loose: groups whose targets are boxes.
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
            peaks[name].update(found, centroids=find_components((mask == 1).numpy()).centroids)
    seen = {name: each for name, each in peaks.items() if each.frames}
    return Calibration(seen, names_hash(data.names), len(data))
