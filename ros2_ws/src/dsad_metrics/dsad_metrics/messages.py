"""Between ROS messages and what `dsad_core` counts."""

from __future__ import annotations

import math

import numpy as np
from dsad_core.errors import FrameError
from dsad_core.frame.codec import decode_message
from dsad_msgs.msg import MetricsSummary
from dsad_tools.metrics.joiner import LabelledBoxes
from dsad_tools.metrics.live import Summary


def mask_of(message) -> np.ndarray:
    """A mask (H, W) uint8 from a sensor_msgs/Image.

    Raises:
        FrameError: not mono8, or a message that lies about itself.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise FrameError("encoding", f"a mask of encoding '{message.encoding}' instead of mono8")
    return decode_message(message)


def boxes_of(message) -> LabelledBoxes:
    """Labelled boxes from a dsad_msgs/TargetArray."""
    rows = [(target.left, target.top, target.width, target.height) for target in message.targets]
    return LabelledBoxes(np.array(rows, np.float64).reshape(-1, 4), (message.height, message.width))


def summary_message(summary: Summary) -> MetricsSummary:
    """A figure without a value becomes NaN."""
    result, latency = summary.result, summary.latency
    return MetricsSummary(
        frames=result.frames,
        frames_unlabelled=summary.frames_unlabelled,
        frames_missed=summary.frames_missed,
        targets=result.targets,
        hits=result.hits,
        predictions=result.predictions,
        false_targets=result.false_targets,
        false_pixels=result.false_pixels,
        pixels=result.pixels,
        intersection_pixels=result.intersection,
        union_pixels=result.union,
        pd=_number(result.pd),
        fa=_number(result.fa),
        iou=_number(result.iou),
        niou=_number(result.niou),
        frame_rate=_number(summary.frame_rate),
        latency_p50=latency.p50 if latency else math.nan,
        latency_p95=latency.p95 if latency else math.nan,
        latency_p99=latency.p99 if latency else math.nan,
        latency_max=latency.max if latency else math.nan,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
