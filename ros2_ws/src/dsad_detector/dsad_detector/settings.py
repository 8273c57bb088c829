"""The node's parameters, and the settings a detector is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsad_common.parameters import Parameter
from dsad_core.engines.backends import BACKENDS
from dsad_core.engines.platform import PLATFORMS
from dsad_core.errors import UsageError
from dsad_core.frame.codec import MAX_SIDE
from dsad_core.frame.geometry import parse_size
from dsad_core.frame.normalise import check_value_range
from dsad_detector.image_input import RELIABILITIES

PARAMETERS = (
    Parameter("engine", "", "Name or folder of the engine; empty for the default one. Taken at configure."),
    Parameter("target", "cpu", "What runs the engine. Taken at configure.", choices=PLATFORMS),
    Parameter(
        "backend",
        "",
        "Runtime of the engine, one of the target's; empty for the first of them that can "
        "run. Taken at configure.",
        choices=("", *BACKENDS),
    ),
    Parameter(
        "threads",
        0,
        "CPU threads of the engine; 0 for the target file's number. Taken at configure.",
        minimum=0,
        maximum=256,
    ),
    Parameter(
        "threshold",
        0.0,
        "Probability that the highest pixel of a target exceeds; 0 for the manifest's. May change at any time.",
        minimum=0.0,
        maximum=1.0,
    ),
    Parameter(
        "value_range_low",
        0.0,
        "Pixel value that becomes 0 in 16-bit and float frames; low and high "
        "both 0 to estimate them for each frame. Taken at configure.",
    ),
    Parameter(
        "value_range_high", 0.0, "Pixel value that becomes 1 in 16-bit and float frames. Taken at configure."
    ),
    Parameter(
        "min_area",
        1,
        "Components of fewer pixels are removed. Taken at configure.",
        minimum=1,
        maximum=MAX_SIDE,
        unit="px",
    ),
    Parameter(
        "max_targets",
        100,
        "Targets listed of one frame, the best by score; the mask keeps all. Taken at configure.",
        minimum=1,
        maximum=100_000,
    ),
    Parameter(
        "frame_size",
        "",
        "Size of the frames, WIDTHxHEIGHT, that the engine is prepared for. Empty: where it must be built for "
        "one size, that of the CameraInfo or frame that comes first; else 640x512. Taken at configure.",
        unit="px",
    ),
    Parameter(
        "build_on_demand",
        False,
        "Where the engine is built for one size: build it for another one in flight, which takes minutes without "
        "answers; else frames of other sizes are refused. Taken at configure.",
    ),
    Parameter(
        "deadline_ms",
        0.0,
        "Answers that take longer from receipt to publication are counted and "
        "reported; 0 for no deadline. May change at any time.",
        minimum=0.0,
        unit="ms",
    ),
    Parameter(
        "stale_timeout_s",
        2.0,
        "While active, input older than this is reported. May change at any time.",
        minimum=0.1,
        unit="s",
    ),
    Parameter(
        "drop_warn_share",
        0.5,
        "Share of the newest frames dropped above which the status is a warning; 1 never warns. May change at any "
        "time.",
        minimum=0.0,
        maximum=1.0,
    ),
    Parameter(
        "image_reliability",
        "auto",
        "Reliability of the subscription to image_raw; auto: reliable while every publisher is. Taken at activate.",
        choices=RELIABILITIES,
    ),
    Parameter(
        "image_rectified",
        "auto",
        "Whether frames are rectified, so that bearings take CameraInfo.p and no distortion; auto: where the topic's "
        "name begins with image_rect. Taken at activate.",
        choices=("auto", "yes", "no"),
    ),
    Parameter(
        "wait_for",
        [""],
        "Names of nodes of this namespace that must listen to the answers before autostart "
        "activates; empty: nobody.",
        read_only=True,
    ),
    Parameter("autostart", True, "Configure and activate by itself at start.", read_only=True),
    Parameter(
        "exit_when_refused",
        False,
        "End with status 2 where autostart cannot configure, as an evaluated run wants it; else the node waits "
        "for other parameters.",
        read_only=True,
    ),
)


#: Parameters that a configured node ignores until it is configured again.
TAKEN_AT_CONFIGURE = frozenset(
    {
        "engine",
        "target",
        "backend",
        "threads",
        "value_range_low",
        "value_range_high",
        "min_area",
        "max_targets",
        "frame_size",
        "build_on_demand",
    }
)


@dataclass(frozen=True)
class Settings:
    """What *configure* builds from, checked.

    Attributes:
        backend, threads, threshold, value_range: None for the target file's, the manifest's, and an
            estimate for each frame.
        frame_size: (height, width); None for the first frame's.
    """

    engine: str
    target: str
    backend: str | None
    threads: int | None
    threshold: float | None
    value_range: tuple[float, float] | None
    min_area: int
    max_targets: int
    frame_size: tuple[int, int] | None
    build_on_demand: bool

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> Settings:
        """Check the values that the parameter table alone cannot.

        Raises:
            UsageError: names the parameter, its value and what it should be.
        """
        return cls(
            engine=values["engine"],
            target=values["target"],
            backend=values["backend"] or None,
            threads=values["threads"] or None,
            threshold=_threshold(values["threshold"]),
            value_range=_value_range(values["value_range_low"], values["value_range_high"]),
            min_area=values["min_area"],
            max_targets=values["max_targets"],
            frame_size=parse_size(values["frame_size"], "frame_size")
            if values["frame_size"].strip()
            else None,
            build_on_demand=values["build_on_demand"],
        )


def _threshold(value: float) -> float | None:
    if not 0.0 <= value < 1.0:
        raise UsageError(
            f"threshold {value} must lie between 0 and 1, both excluded; 0 stands for the manifest's"
        )
    return value or None


def _value_range(low: float, high: float) -> tuple[float, float] | None:
    if low == high == 0.0:
        return None
    try:
        return check_value_range((low, high))
    except UsageError as error:
        raise UsageError(
            f"value_range_low {low} and value_range_high {high}: low must be below high, "
            "or both 0; set the two together, or the one that widens the range first"
        ) from error
