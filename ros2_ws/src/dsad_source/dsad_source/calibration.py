"""Camera intrinsics from parameters or a camera_calibration file, as CameraInfo."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from sensor_msgs.msg import CameraInfo

from dsad_core.errors import DataError, UsageError, one_line

_UNIT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Calibration:
    """Intrinsics of one camera.

    Attributes:
        k: 3x3 camera matrix, row by row, pixels; all zero means uncalibrated, as in ROS.
        d: distortion coefficients of ``model``.
        r, p: rectification (3x3) and projection (3x4), row by row.
        size: (width, height) it was made for; None where it stands for any.
    """

    k: tuple[float, ...] = (0.0,) * 9
    d: tuple[float, ...] = (0.0,) * 5
    r: tuple[float, ...] = _UNIT
    p: tuple[float, ...] = (0.0,) * 12
    model: str = "plumb_bob"
    size: tuple[int, int] | None = None

    def fits(self, width: int, height: int) -> bool:
        """Whether it describes frames of this size."""
        return self.size in (None, (width, height))

    def message(self, width: int, height: int) -> CameraInfo:
        """CameraInfo of a frame, header empty. Uncalibrated where the calibration is of another size."""
        used = self if self.fits(width, height) else Calibration()
        return CameraInfo(
            width=width,
            height=height,
            distortion_model=used.model,
            d=list(used.d),
            k=list(used.k),
            r=list(used.r),
            p=list(used.p),
        )


def from_focal_lengths(fx: float, fy: float, cx: float, cy: float) -> Calibration:
    """A camera without distortion; all zero means uncalibrated.

    Raises:
        UsageError: some are given and some are missing.
    """
    if not any((fx, fy, cx, cy)):
        return Calibration()
    if not all((fx, fy, cx, cy)):
        raise UsageError(f"fx {fx}, fy {fy}, cx {cx}, cy {cy}: intrinsics need all four, in pixels.")
    return Calibration(
        k=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
        p=(fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0),
    )


def from_file(url: str) -> Calibration:
    """Read the YAML that the camera_calibration package writes; ``file://`` may stand in front.

    Raises:
        DataError: the file is missing or lacks a field, which is named.
    """
    path = Path(url.removeprefix("file://")).expanduser()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Calibration(
            k=_matrix(content, "camera_matrix", 9),
            d=tuple(float(value) for value in content["distortion_coefficients"]["data"]),
            r=_matrix(content, "rectification_matrix", 9),
            p=_matrix(content, "projection_matrix", 12),
            model=str(content["distortion_model"]),
            size=(int(content["image_width"]), int(content["image_height"])),
        )
    except OSError as error:
        raise DataError(f"{path}: camera calibration cannot be read ({one_line(error)}).") from None
    except KeyError as error:
        raise DataError(f"{path}: lacks {error}; write it with the camera_calibration package.") from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a camera calibration ({one_line(error)}).") from None


def _matrix(content: dict, name: str, length: int) -> tuple[float, ...]:
    values = tuple(float(value) for value in content[name]["data"])
    if len(values) != length:
        raise ValueError(f"{name} has {len(values)} values, not {length}")
    return values
