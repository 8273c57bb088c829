"""Between ROS messages and what `dsad_core` counts."""

from __future__ import annotations

import math

import numpy as np

from dsad_core.errors import FrameError, UsageError
from dsad_core.frame.codec import decode_message
from dsad_core.frame.monitor import FrameKind
from dsad_core.metrics.tracks import TrackResult
from dsad_core.tracking import MotionState, Track, TrackState
from dsad_msgs.msg import MetricsSummary, TrackArray, TrackMetrics
from dsad_msgs.msg import Track as TrackMessage
from dsad_tools.bags.source import label_ids
from dsad_tools.metrics.joiner import FrameTracks, LabelledBoxes
from dsad_tools.metrics.live import Summary

STATES = {getattr(TrackMessage, state.name): state for state in TrackState}
MOTIONS = {getattr(TrackMessage, motion.name): motion for motion in MotionState}
KINDS = {getattr(TrackArray, kind.name): kind.value for kind in FrameKind}


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
    boxes = np.array(rows, np.float64).reshape(-1, 4)
    return LabelledBoxes(boxes, (message.height, message.width), label_ids(message.targets))


def tracks_of(message) -> FrameTracks:
    """What is scored of a dsad_msgs/TrackArray.

    Raises:
        UsageError: a state, motion or kind of frame that is none.
    """
    try:
        tracks = [_track(track) for track in message.tracks]
        kind = KINDS[message.frame_kind]
    except KeyError as error:
        raise UsageError(f"tracks hold {error.args[0]}, which is no state, motion or kind of frame") from None
    return FrameTracks(tracks, (message.height, message.width), kind, message.motion_failures)


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


def track_metrics(result: TrackResult, without_tracks: int) -> TrackMetrics:
    """A figure without a value becomes NaN."""
    values = {name: _number(value) for name, value in result.to_dict().items()}
    values.pop("target_seconds")
    return TrackMetrics(frames_without_tracks=without_tracks, **values)


def _track(message) -> Track:
    return Track(
        id=message.id,
        state=STATES[message.state],
        motion=MOTIONS[message.motion],
        age_s=message.age,
        hits=message.hits,
        missed_s=message.since_hit,
        x=message.x,
        y=message.y,
        vx=message.vx,
        vy=message.vy,
        covariance=np.array(message.covariance, np.float64).reshape(4, 4),
        score=message.score,
        left=message.left,
        top=message.top,
        width=message.width,
        height=message.height,
        target=None if message.target < 0 else message.target,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
