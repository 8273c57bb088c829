"""The node's parameters for tracks, compressed frames, the frame monitor and the part of the frame that is looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsad_common.parameters import Parameter
from dsad_core.errors import UsageError
from dsad_core.frame.codec import MAX_SIDE
from dsad_core.frame.monitor import FrameMonitor
from dsad_core.frame.region import Region
from dsad_core.tracking import Follower, MotionSource


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
        "target_ids",
        True,
        "Targets wait for the tracker and hold their tracks' ids; false: they go out with the mask, without ids. "
        "Taken at activate.",
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
        "motion_topic",
        "",
        "sensor_msgs/Imu whose angular velocity says how the camera turns, in place of camera_motion; needs "
        "CameraInfo. Taken at activate.",
    ),
    Parameter(
        "imu_to_camera",
        [0.0, 0.0, 0.0, 1.0],
        "Quaternion x, y, z, w that takes vectors of the Imu's frame into the camera's optical frame. Taken at "
        "activate.",
    ),
    Parameter(
        "motion_frame",
        "",
        "Frame that does not turn (odom); TF from it to the camera says how the camera turns, in place of "
        "camera_motion. Taken at activate.",
    ),
    Parameter(
        "bearing_frame",
        "",
        "Frame of the tracks' bearings (base_link), by TF; empty for the camera's optical frame. Taken at activate.",
    ),
    Parameter(
        "ffc_topic",
        "",
        "std_msgs/Bool, or optris' Flag, by which the driver says that the shutter is closed: such frames are marked "
        "shutter and answered with an empty mask. Taken at activate.",
    ),
    Parameter(
        "frame_monitor",
        "refuse",
        "Frames that show no scene: tracks coast over them, and refuse also answers shutter and settling frames "
        "with an empty mask and no targets; mark only marks them; none looks at no frame. Taken at activate.",
        choices=("refuse", "mark", "none"),
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
        monitor: refuse, mark or none.
        target_ids: whether targets wait for their tracks' ids.
        motion_topic, motion_frame: what says how the camera turns, at most one of them; else empty.
        mounting: quaternion x, y, z, w.
        bearing_frame: empty for the camera's own.
        ffc_topic: empty where no driver tells.
    """

    published: str
    low_threshold: float | None
    camera: str
    monitor: str
    target_ids: bool = True
    motion_topic: str = ""
    motion_frame: str = ""
    mounting: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)
    bearing_frame: str = ""
    ffc_topic: str = ""

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
        mounting = tuple(values["imu_to_camera"])
        if len(mounting) != 4 or not 0.0 < sum(map(abs, mounting)) < math.inf:
            raise UsageError(
                f"imu_to_camera {list(mounting)} is no quaternion x, y, z, w; no rotation is 0, 0, 0, 1"
            )
        topic, frame = values["motion_topic"], values["motion_frame"]
        if topic and frame:
            raise UsageError(
                f"motion_topic {topic} and motion_frame {frame}: one of them says how the camera turns"
            )
        if values["ffc_topic"] and values["frame_monitor"] == "none":
            raise UsageError(
                f"ffc_topic {values['ffc_topic']} needs the frame monitor: set frame_monitor to mark or refuse"
            )
        return cls(
            published=values["tracks"],
            low_threshold=low or None,
            camera=values["camera_motion"],
            monitor=values["frame_monitor"],
            target_ids=values["target_ids"],
            motion_topic=topic,
            motion_frame=frame,
            mounting=mounting,
            bearing_frame=values["bearing_frame"],
            ffc_topic=values["ffc_topic"],
        )

    def follower(self, motion: MotionSource | None = None) -> Follower | None:
        """A new one, or None without tracking."""
        if self.published == "none":
            return None
        return Follower(None, self.low_threshold, self.camera, motion)

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
