"""The node's parameters, and the settings a detector is built from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsad_common.parameters import Parameter
from dsad_core.engines.backends import BACKENDS
from dsad_core.engines.target_file import TARGETS
from dsad_core.errors import UsageError
from dsad_core.frame.codec import MAX_SIDE
from dsad_core.frame.normalise import check_value_range

PARAMETERS = (
    Parameter("engine", "", "Name or folder of the engine; empty for the default one. Taken at configure."),
    Parameter("target", "cpu", "What runs the engine. Taken at configure.", choices=TARGETS),
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
        "Probability above which a pixel is target; 0 for the manifest's. May change at any time.",
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
        "warm_up_size",
        "512x640",
        "Frame size, height x width, that the engine is warmed up with. Taken at configure.",
        unit="px",
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
        "image_reliability",
        "best_effort",
        "Reliability of the subscription to image_raw. Taken at activate.",
        choices=("best_effort", "reliable"),
    ),
    Parameter(
        "wait_for",
        [""],
        "Names of nodes of this namespace that must listen to the answers before autostart "
        "activates; empty: nobody.",
        read_only=True,
    ),
    Parameter("autostart", True, "Configure and activate by itself at start.", read_only=True),
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
        "warm_up_size",
    }
)


@dataclass(frozen=True)
class Settings:
    """What *configure* builds from, checked.

    Attributes:
        backend, threads, threshold, value_range: None for the target file's, the manifest's, and an
            estimate for each frame.
        warm_up_size: (height, width).
    """

    engine: str
    target: str
    backend: str | None
    threads: int | None
    threshold: float | None
    value_range: tuple[float, float] | None
    min_area: int
    warm_up_size: tuple[int, int]

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
            warm_up_size=_size(values["warm_up_size"]),
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


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+)\s*[xX]\s*(\d+)\s*", text)
    if match:
        height, width = int(match[1]), int(match[2])
        if 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE:
            return height, width
    raise UsageError(
        f"warm_up_size '{text}' must be height x width in pixels, each 1 to {MAX_SIDE}, such as 512x640"
    )
