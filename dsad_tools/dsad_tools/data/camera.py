"""Live frames from V4L2, a GStreamer pipeline or a stream address, through OpenCV."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from dsad_core.addresses import without_credentials
from dsad_core.errors import DataError
from dsad_tools.data.sample import Sample

#: V4L2 pixel formats of one 16-bit sample a pixel. Left to itself OpenCV squashes them to 8 bit.
_DEEP_FORMATS = ("Y16 ", "Y12 ", "Y10 ")
_READ_TIMEOUT = 3.0  # seconds until a camera that gives nothing is opened anew
_RETRY = 1.0  # seconds between attempts to open it


class Camera:
    """A camera read in a thread of its own; whoever asks gets the newest frame.

    The camera is opened at once, so that a missing one is said at start. One that stops later is opened
    again once a second until it is back.

    Args:
        device: V4L2 index (``0``) or node (``/dev/video0``), a GStreamer pipeline (recognised by its
            ``!``) that ends in ``appsink``, or a stream address such as ``rtsp://...``.
        width, height: requested size in pixels, 0 for the camera's own.
        fps: requested rate in Hz, 0 for the camera's own.
        bits: 8, 16, or 0 for what the camera gives.
        now: clock that stamps a frame when it has been read.
        tell: takes a line when the camera stops, and when it gives frames again.

    Attributes:
        trouble: what is wrong now, in one line; None while frames come.

    Raises:
        DataError: the camera cannot be opened or does not give frames of these ``bits``.
    """

    def __init__(
        self,
        device: str,
        width: int = 0,
        height: int = 0,
        fps: float = 0.0,
        bits: int = 0,
        now: Callable[[], int] = time.time_ns,
        tell: Callable[[str], None] = lambda line: None,
    ):
        self.device = device
        #: The device in messages: passwords of stream addresses stay out of every log.
        self.name = without_credentials(device)
        self._size = (width, height)
        self._fps = fps
        self._bits = bits
        self._now = now
        self._tell = tell
        self.skipped = 0
        self.reopened = 0
        self.trouble: str | None = None
        self._newest: tuple[np.ndarray, int] | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._capture = self._open()
        first = self._read(self._capture)
        if first is None:
            self._capture.release()
            raise DataError(f"camera {self.name}: opened, but gives no frame; is another program using it?")
        self._newest = (first, now())
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        """Grey (H, W) uint8 or uint16 frames with their stamps, until closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._closed)
                if self._closed:
                    return
                newest, self._newest = self._newest, None
            assert newest is not None
            yield newest

    def close(self) -> None:
        """Stop reading and let the device go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=2 * _READ_TIMEOUT)

    def _run(self) -> None:
        while not self._closed:
            try:
                frame = self._read(self._capture)
                if frame is None:
                    self._note(f"camera {self.name}: stopped giving frames")
                    self._reopen()
                    continue
            except DataError as error:
                self._note(str(error))
                self._reopen()
                continue
            if self.trouble is not None:
                self._note(None)
            with self._changed:
                self.skipped += self._newest is not None
                self._newest = (frame, self._now())
                self._changed.notify_all()
        self._capture.release()

    def _note(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            self._tell(trouble or f"camera {self.name}: gives frames again")
        self.trouble = trouble

    def _reopen(self) -> None:
        self._capture.release()
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, timeout=_RETRY)
            try:
                self._capture = self._open()
                self.reopened += 1
                return
            except DataError as error:
                self._note(str(error))

    def _read(self, capture: cv2.VideoCapture) -> np.ndarray | None:
        ok, frame = capture.read()
        return to_grey(frame, self._bits, self.name) if ok else None

    def _open(self) -> cv2.VideoCapture:
        if "!" in self.device:
            return self._open_pipeline()
        if "://" in self.device:
            return self._open_stream()
        return self._open_v4l2()

    def _open_pipeline(self) -> cv2.VideoCapture:
        if not _has_gstreamer():
            raise DataError(
                f"camera '{self.name}': this OpenCV ({cv2.__version__}) lacks GStreamer; "
                "install the system's (apt: python3-opencv) or give a /dev/video node."
            )
        capture = cv2.VideoCapture(self.device, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise DataError(
                f"camera '{self.name}': GStreamer cannot run this pipeline; try it with "
                "gst-launch-1.0 and let it end in appsink."
            )
        return capture

    def _open_stream(self) -> cv2.VideoCapture:
        patience = int(_READ_TIMEOUT * 1000)
        capture = cv2.VideoCapture(
            self.device,
            cv2.CAP_FFMPEG,
            [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, patience, cv2.CAP_PROP_READ_TIMEOUT_MSEC, patience],
        )
        if not capture.isOpened():
            raise DataError(f"camera {self.name}: no stream that can be opened at this address.")
        return capture

    def _open_v4l2(self) -> cv2.VideoCapture:
        node = Path(f"/dev/video{self.device}" if self.device.isdigit() else self.device)
        if not node.exists():
            there = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
            raise DataError(
                f"camera {node}: no such device (video devices here: {there}); plug it in or set device."
            )
        # OpenCV's own patience with a silent V4L2 device is 10 s and has no property.
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(int(_READ_TIMEOUT)))
        capture = cv2.VideoCapture(str(node), cv2.CAP_V4L2)
        if not capture.isOpened():
            raise DataError(
                f"camera {node}: exists but cannot be opened for capture; is another program "
                "using it, and may this user read it (group video)?"
            )
        if self._bits == 16:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*_DEEP_FORMATS[0]))
        for prop, wanted in (
            (cv2.CAP_PROP_FRAME_WIDTH, self._size[0]),
            (cv2.CAP_PROP_FRAME_HEIGHT, self._size[1]),
            (cv2.CAP_PROP_FPS, self._fps),
        ):
            if wanted:
                capture.set(prop, wanted)
        if _fourcc(capture) in _DEEP_FORMATS:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        return capture


class CameraSource:
    """A camera as a series of samples that has no end; see `SampleSource`. A slow reader skips frames.

    Args:
        device, tell: see `Camera`.
    """

    kind, split_hash = "camera", ""
    #: Frames have stamps in place of a rate.
    fps: float | None = None

    def __init__(self, device: str, tell: Callable[[str], None] = lambda line: None):
        self._camera = Camera(device, tell=tell)
        self.name = self._camera.name
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Sample]:
        for frame, stamp in self._camera:
            yield Sample(str(stamp), frame, stamp_ns=stamp)

    def close(self) -> None:
        """Let the device go."""
        self._camera.close()


def is_camera(text: str) -> bool:
    """Whether a text names a camera as `Camera` takes them, and no file or folder."""
    named = text.isdigit() or text.startswith("/dev/") or "://" in text or "!" in text
    return named and not Path(text).is_dir() and not Path(text).is_file()


def to_grey(frame: np.ndarray, bits: int, device: str) -> np.ndarray:
    """A captured frame as (H, W) uint8 or uint16.

    Raises:
        DataError: it is of another form, or not of ``bits`` (0 for either).
    """
    if frame.ndim == 3 and frame.shape[2] == 1:
        frame = frame[:, :, 0]
    if frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8:
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    # OpenCV hands out pixel formats it does not know as one long row of bytes.
    if frame.ndim != 2 or frame.dtype not in (np.uint8, np.uint16) or 1 in frame.shape:
        raise DataError(
            f"camera {device}: gives {frame.dtype} frames of shape {frame.shape}, not grey or "
            "colour of 8 bit or grey of 16; choose another format in a GStreamer pipeline."
        )
    if bits and frame.dtype.itemsize * 8 != bits:
        raise DataError(
            f"camera {device}: gives {frame.dtype.itemsize * 8}-bit frames, not {bits}-bit; set "
            "encoding to what it gives, or leave it empty."
        )
    return frame


def _fourcc(capture: cv2.VideoCapture) -> str:
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True).decode("latin-1")


def _has_gstreamer() -> bool:
    lines = cv2.getBuildInformation().splitlines()
    return any(line.strip().startswith("GStreamer:") and "YES" in line for line in lines)
