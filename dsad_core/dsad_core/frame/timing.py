"""Where a frame's time goes: one table of stages for the node, metrics, reports and benches."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from dsad_core.errors import UsageError

#: The stages of a frame's way through the detector's node, in order.
STAGES = ("queue", "decode", "preprocess", "inference", "postprocess", "publish")
#: Those of `Detector.detect`, all that an offline run has.
DETECTOR_STAGES = STAGES[2:5]
#: Key of the sum of a frame's stages, beside the stages' own names.
TOTAL = "total"


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """When a frame passed from stage to stage: nanoseconds of one steady clock, as in dsad_msgs/FrameTiming.

    Attributes:
        received: the node got the frame, and the first of `STAGES` begins.
        started, decoded, preprocessed, inferred, postprocessed, published: the ends of the six.

    Raises:
        UsageError: the times are not in order, so they are not of one steady clock.
    """

    received: int
    started: int
    decoded: int
    preprocessed: int
    inferred: int
    postprocessed: int
    published: int

    def __post_init__(self) -> None:
        for stage, duration in self.durations().items():
            if duration < 0:
                raise UsageError(
                    f"stage {stage} ends {-duration} ns before it begins: not of one steady clock"
                )

    @classmethod
    def of(cls, message) -> "FrameTimes":
        """From a dsad_msgs/FrameTiming."""
        return cls(*(getattr(message, name) for name in MOMENTS))

    def durations(self) -> dict[str, int]:
        """Nanoseconds by stage."""
        return durations(STAGES, astuple(self))


#: Names of the moments between stages, here and in dsad_msgs/FrameTiming: stage n lies between the moments n and n + 1.
MOMENTS = tuple(field.name for field in fields(FrameTimes))


def durations(stages: Sequence[str], moments_ns: Sequence[int]) -> dict[str, int]:
    """Nanoseconds of each stage, from the moment that the first begins at and those that each ends at."""
    return {stage: end - begin for stage, begin, end in zip(stages, moments_ns, moments_ns[1:])}
