"""What a network is worth on the held-out part of a union, set by set."""

from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch

from dsad_core.components import find_components
from dsad_core.metrics.accumulator import DetectionAccumulator, DetectionResult
from dsad_core.metrics.froc import FrocAccumulator, FrocResult, find_peaks
from dsad_training.data.packed import PackedSet
from dsad_training.networks.network import Network
from dsad_training.recipe import DataPart
from dsad_training.soft_labels import padded_logits, same_sizes


@dataclass(frozen=True)
class SetScore:
    """One set's scores: the mask's at probability 0.5, and the peaks'."""

    name: str
    masks: DetectionResult
    peaks: FrocResult
    false_a_frame: float

    def to_dict(self) -> dict:
        return asdict(self)


@torch.no_grad()
def validate(
    network: Network, data: PackedSet, names: list[str], loose: set[str], part: DataPart
) -> list[SetScore]:
    """Scores of each group of ``data``.

    Args:
        network: put into eval mode and left there; on the device of ``data``.
        names: of the groups.
        loose: groups whose targets are boxes: pixels that are a target's or uncertain.
        part: of the recipe, whose normalisation the network was trained with.
    """
    network.eval()
    masks = {name: DetectionAccumulator() for name in names}
    peaks = {name: FrocAccumulator() for name in names}
    for same in same_sizes(data, part):
        for index, logits in zip(same.indices, padded_logits(network, same.images)[:, 0].cpu().numpy()):
            name = names[int(data.group[index])]
            labels = data.image(index)[1].cpu().numpy()
            truth = find_components(labels == 1)
            found = find_peaks(logits)
            if name in loose:
                boxes = cv2.connectedComponentsWithStats((labels > 0).astype(np.uint8), connectivity=8)[2]
                peaks[name].update(found, boxes=boxes[1:, :4])
            else:
                peaks[name].update(found, centroids=truth.centroids, mask=labels == 1)
            masks[name].update(logits > 0, truth)
    scores = []
    for name in names:
        if peaks[name].frames:
            false = (peaks[name].false > 0).sum() / peaks[name].frames
            scores.append(SetScore(name, masks[name].result(), peaks[name].result(), float(false)))
    return scores
