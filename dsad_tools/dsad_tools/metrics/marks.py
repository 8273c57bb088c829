"""Rectangles around targets and predictions of one frame: what was found, missed and false."""

import cv2
import numpy as np

from dsad_core.components import find_components
from dsad_core.metrics.counts import match_boxes, match_nearest
from dsad_tools.metrics.frame_picture import FramePicture, Mark


def marks_of(picture: FramePicture) -> tuple[list[Mark], list[Mark]]:
    """Marks of the targets and of the predictions. Matching is nearest-first here: it tells what was missed."""
    predicted = find_components(picture.predicted)
    if picture.truth is not None:
        targets = find_components(picture.truth)
        boxes, pairs = targets.boxes, match_nearest(targets.centroids, predicted.centroids)
    else:
        boxes = picture.boxes if picture.boxes is not None else np.empty((0, 4))
        pairs = match_boxes(boxes, predicted.centroids)
    hit_targets, hit_predictions = {target for target, _ in pairs}, {prediction for _, prediction in pairs}
    wrong = "false" if picture.labelled else "unlabelled"
    truth = [_mark("truth" if n in hit_targets else "missed", box) for n, box in enumerate(boxes)]
    answers = [_mark("hit" if n in hit_predictions else wrong, box) for n, box in enumerate(predicted.boxes)]
    return truth, answers


def eight_bit(image: np.ndarray) -> np.ndarray:
    """A frame (H,W) of any depth as uint8, stretched between its extreme percentiles to be seen at all."""
    sample = image[:: max(image.shape[0] // 512, 1), :: max(image.shape[1] // 512, 1)]
    low, high = (float(value) for value in np.percentile(sample, (0.5, 99.9)))
    high = max(high, low + 1e-6)
    return np.clip((image.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int = 80) -> bytes:
    """A frame (H,W) as JPEG."""
    return cv2.imencode(".jpg", eight_bit(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _mark(kind: str, box: np.ndarray) -> Mark:
    return Mark(kind, *(float(value) for value in box))
