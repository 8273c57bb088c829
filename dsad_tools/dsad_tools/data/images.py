"""Image files of any colour mode as single grey frames."""

import contextlib
import re
from pathlib import Path

import cv2
import numpy as np

from dsad_core.errors import DataError, FrameError, one_line
from dsad_core.frame.codec import MAX_SIDE
from dsad_core.frame.compressed import cut_short, peek_size

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which ``frame_10`` comes after ``frame_9``."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part.lower())
        for part in re.findall(r"[0-9]+|[^0-9]+", name)
    ]


def list_images(folder: Path) -> list[Path]:
    """Image files directly inside ``folder``, in natural order of their names."""
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def read_grey(path: Path) -> np.ndarray:
    """Decode an image file to (H, W) uint8, uint16 or float32.

    Colour and palette become BT.601 luma, as the frame codec makes of rgb8; alpha is ignored. (OpenCV's
    own grey reading goes through libpng instead and differs by up to 3 levels.)

    Raises:
        DataError: the file is missing, damaged, larger than frames are or of a pixel type that they do not have.
    """
    try:
        encoded = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)})") from None
    with contextlib.suppress(FrameError):  # neither PNG nor JPEG, or damaged
        height, width = peek_size("", encoded)
        if max(height, width) > MAX_SIDE:
            raise DataError(f"{path}: {width}x{height}, a frame has {MAX_SIDE} pixels a side at most")
    whole = encoded.size and not cut_short(encoded)
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if whole else None
    except cv2.error as error:  # it claims more pixels than OpenCV takes
        raise DataError(f"{path}: not a readable image ({one_line(error)}); replace or remove it") from None
    if image is None:
        raise DataError(f"{path}: not a readable image ({encoded.size} bytes); replace or remove it")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise DataError(f"{path}: pixels are {image.dtype}; convert it to 8 or 16 bit unsigned or float32")
    if image.ndim == 3:
        code = cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY
        image = cv2.cvtColor(image, code)
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise DataError(f"{path}: holds NaN or infinite pixels; replace them before use")
    return image


def read_mask(path: Path) -> np.ndarray:
    """Decode a mask file to (H, W) uint8 of 0 and 255; every pixel above 0 is target."""
    return np.where(read_grey(path) > 0, np.uint8(255), np.uint8(0))
