"""The node's parameters for tracks, compressed frames, the frame monitor and the part of the frame that is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsad_common.parameters import Parameter
from dsad_core.errors import UsageError
from dsad_core.frame.codec import MAX_SIDE
from dsad_core.frame.monitor import FrameMonitor
from dsad_core.frame.region import Region
from dsad_core.tracking import Follower


def _crop(side: str) -> Parameter:
    return Parameter(
        f"crop_{side}",
        0,
        f"Pixels at the {side} of the frame that are no scene, such as telemetry rows. Taken at configure.",
        minimum=0,
        maximum=MAX_SIDE,
        unit="px",
    )


TRACK_PARAMETERS = (
    Parameter(
        "image_transport",
        "raw",
        "raw takes image_raw, compressed takes image_raw/compressed (JPEG, PNG; 16 bit as PNG). Taken at activate.",
        choices=("raw", "compressed"),
    ),
    Parameter(
        "tracks",
        "all",
        "Tracks that are published: all, confirmed ones, confirmed ones that move against the scene, or none "
        "for no tracking. Taken at activate.",
        choices=("all", "confirmed", "moving", "none"),
    ),
    Parameter(
        "low_threshold",
        0.0,
        "Probability above which a weak detection continues a track; 0 for 5 logits below the mask's threshold. "
        "Taken at activate.",
        minimum=0.0,
        maximum=1.0,
    ),
    Parameter(
        "camera_motion",
        "estimate",
        "Estimate the camera's motion from the frames, or take the camera to stand still. Taken at activate.",
        choices=("estimate", "still"),
    ),
    Parameter(
        "frame_monitor",
        "mark",
        "Frames that show no scene (shutter, settling): mark lets tracks coast over them, refuse also empties "
        "their mask, none looks at no frame. Taken at activate.",
        choices=("mark", "refuse", "none"),
    ),
    *(_crop(side) for side in ("top", "bottom", "left", "right")),
    Parameter(
        "ignore_mask",
        "",
        "Image file of the frame's size, non-zero where pixels are left out (reticle, text). Taken at configure.",
    ),
)


@dataclass(frozen=True)
class TrackSettings:
    """Checked values of the parameters.

    Attributes:
        published: all, confirmed, moving or none.
        low_threshold: None for the default.
        camera: estimate or still.
        monitor: mark, refuse or none.
    """

    published: str
    low_threshold: float | None
    camera: str
    monitor: str

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> TrackSettings:
        """Check the values that the parameter table alone cannot.

        Raises:
            UsageError: names the parameter, its value and what it should be.
        """
        low = values["low_threshold"]
        if not 0.0 <= low < 1.0:
            raise UsageError(
                f"low_threshold {low} must lie between 0 and 1, both excluded; 0 stands for the default"
            )
        return cls(values["tracks"], low or None, values["camera_motion"], values["frame_monitor"])

    def follower(self) -> Follower | None:
        """A new one, or None without tracking."""
        return None if self.published == "none" else Follower(None, self.low_threshold, self.camera)

    def frame_monitor(self) -> FrameMonitor | None:
        """A new one, or None where frames are not looked at."""
        return None if self.monitor == "none" else FrameMonitor()


def region(values: Mapping[str, Any]) -> Region | None:
    """The part of the frame that is looked at; None for all of it.

    Raises:
        UsageError: ``ignore_mask`` is no image.
    """
    borders = (values[f"crop_{side}"] for side in ("top", "bottom", "left", "right"))
    return Region.load(values["ignore_mask"] or None, *borders)
