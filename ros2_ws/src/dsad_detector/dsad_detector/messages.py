"""The messages that answer a frame. Every header is the frame's own, unchanged."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
from geometry_msgs.msg import Vector3
from sensor_msgs.msg import Image

from dsad_core.detector import Detection
from dsad_core.frame.codec import fill_message
from dsad_core.frame.timing import FrameTimes
from dsad_detector.counters import Counters
from dsad_detector.loading import Loaded
from dsad_msgs.msg import EngineInfo, FrameCounters, FrameTiming, Target, TargetArray


def image_message(header, image: np.ndarray, encoding: str) -> Image:
    """An Image of ``image`` under the frame's header."""
    message = Image(header=header)
    fill_message(message, image, encoding)
    return message


def target_array(header, detection: Detection, bearings: np.ndarray | None) -> TargetArray:
    """The targets of a frame.

    Args:
        bearings: (N, 3) unit vectors in the targets' order, NaN for none; or None.
    """
    height, width = detection.mask.shape
    array = TargetArray(header=header, height=height, width=width, targets_cut=detection.targets_cut)
    for index, found in enumerate(detection.targets):
        target = Target(
            x=found.x,
            y=found.y,
            left=found.left,
            top=found.top,
            width=found.width,
            height=found.height,
            area=found.area,
            score=found.score,
        )
        if bearings is not None:
            x, y, z = bearings[index].tolist()
            if not math.isnan(z):
                target.has_bearing = True
                target.bearing = Vector3(x=x, y=y, z=z)
        array.targets.append(target)
    return array


def frame_timing(header, times: FrameTimes, counters: Counters) -> FrameTiming:
    """Where the time of the frame went, and what became of all frames so far."""
    return FrameTiming(
        header=header,
        **asdict(times),
        activated=counters.activated,
        frames_received=counters.received,
        frames_answered=counters.answered,
        frames_dropped=counters.dropped,
        frames_lost=counters.lost,
        frames_refused=counters.refused_total,
    )


def frame_counters(counters: Counters) -> FrameCounters:
    """What became of all frames so far; the header is the caller's to fill."""
    return FrameCounters(
        activated=counters.activated,
        frames_received=counters.received,
        frames_answered=counters.answered,
        frames_dropped=counters.dropped,
        frames_lost=counters.lost,
        frames_refused=counters.refused_total,
        deadline_misses=counters.late,
        targets_cut=counters.targets_cut,
    )


def engine_info(loaded: Loaded) -> EngineInfo:
    """Which network answers; the header is the caller's to fill."""
    engine, test = loaded.detector.engine, loaded.self_test
    height, width = loaded.size
    return EngineInfo(
        name=engine.manifest.name,
        sha256=engine.manifest.sha256,
        network=engine.manifest.network,
        platform=engine.platform,
        backend=engine.backend,
        precision=engine.precision,
        runtime=engine.description,
        threshold=loaded.detector.threshold,
        outline=loaded.detector.outline,
        width=width,
        height=height,
        any_size=loaded.any_size,
        self_test_ran=test.ran,
        self_test_passed=test.passed,
        self_test=test.text,
        self_test_mask_pixels=test.mask_pixels,
        self_test_differing_pixels=test.differing_pixels,
        self_test_logit_difference=test.largest_logit_difference,
        passed_over=list(engine.passed_over),
    )
