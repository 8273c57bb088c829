"""Samples as a rosbag2, as if a camera had been recorded, with ground truth."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dsad_core.errors import BagError
from dsad_core.frame.codec import fill_message
from dsad_core.frame.encodings import own_encoding, to_encoding
from dsad_tools.bags.raw import RawBagWriter
from dsad_tools.bags.types import CAMERA_INFO, IMAGE, TARGET_ARRAY, typestore
from dsad_tools.data.sample import Sample

#: Stamp of the first frame: any moment but 0, which tools take for "no stamp".
EPOCH_NS = 1_700_000_000 * 10**9


class BagWriter:
    """Writes samples to a new bag; a context manager. See `RawBagWriter` for what an error leaves.

    Topics under ``namespace``: ``image_raw``, ``camera_info`` (one for each frame), ``ground_truth``
    (mono8 masks) and ``ground_truth_targets`` (boxes). A sample about which nothing is known gets no
    truth message. Log time is the stamp; stamps are ``1 / fps`` apart.

    Args:
        path: bag folder to make; must not exist.
        storage: ``mcap`` or ``sqlite3``.
        fps: frames a second, above 0.
        namespace: of the topics.
        intrinsics: fx, fy, cx, cy in pixels; None writes an uncalibrated camera (K all zero).
        frame_id: of every header.
        origin: see `RawBagWriter`.

    Raises:
        BagError: see `RawBagWriter`; or fps is not above 0.
    """

    def __init__(
        self,
        path: str | Path,
        storage: str = "mcap",
        fps: float = 25.0,
        namespace: str = "/irst",
        intrinsics: tuple[float, float, float, float] | None = None,
        frame_id: str = "infrared_optical",
        origin: Mapping[str, str] | None = None,
    ):
        if not 0 < fps < 1e5:
            raise BagError(f"fps {fps}: a bag needs a frame rate above 0 Hz")
        self._bag = RawBagWriter(path, storage, origin)
        self._period_ns = 1e9 / fps
        self._namespace = "/" + namespace.strip("/")
        self._intrinsics = intrinsics
        self._frame_id = frame_id
        self._types = typestore().types
        self.frames = 0

    def write(self, sample: Sample, encoding: str | None = None) -> int:
        """Append a sample.

        Args:
            sample: the frame and its truth.
            encoding: of the image; None stores it as it is (mono8, mono16 or 32FC1).

        Returns:
            The stamp of its messages, nanoseconds.

        Raises:
            FrameError: the encoding would lose bits, or is unknown.
        """
        stamp = EPOCH_NS + round(self.frames * self._period_ns)
        header = self._header(stamp)
        encoding = encoding or own_encoding(sample.image)
        frame = to_encoding(sample.image, encoding)
        # Truth first, as a live source sends it: who joins by stamp then holds no frame waiting.
        if sample.mask is not None:
            self._write("ground_truth", IMAGE, stamp, self._image(header, sample.mask, "mono8"))
        elif sample.boxes is not None:
            self._write("ground_truth_targets", TARGET_ARRAY, stamp, self._targets(header, sample))
        self._write("camera_info", CAMERA_INFO, stamp, self._camera_info(header, *sample.image.shape))
        self._write("image_raw", IMAGE, stamp, self._image(header, frame, encoding))
        self.frames += 1
        return stamp

    def __enter__(self):
        self._bag.__enter__()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._bag.__exit__(kind, error, trace)

    def _write(self, name: str, type_name: str, stamp: int, message) -> None:
        topic = f"{self._namespace.rstrip('/')}/{name}"
        self._bag.add_topic(topic, type_name)
        self._bag.write(topic, stamp, typestore().serialize_cdr(message, type_name))

    def _header(self, stamp: int):
        seconds, rest = divmod(stamp, 10**9)
        time = self._types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=rest)
        return self._types["std_msgs/msg/Header"](stamp=time, frame_id=self._frame_id)

    def _image(self, header, frame: np.ndarray, encoding: str):
        filled = SimpleNamespace()
        fill_message(filled, frame, encoding)
        filled.data = np.frombuffer(filled.data, np.uint8)
        return self._types[IMAGE](header=header, **vars(filled))

    def _camera_info(self, header, height: int, width: int):
        fx, fy, cx, cy = self._intrinsics or (0.0, 0.0, 0.0, 0.0)
        one = 1.0 if self._intrinsics else 0.0
        region = self._types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._types[CAMERA_INFO](
            header=header,
            height=height,
            width=width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, one], np.float64),
            r=np.eye(3).ravel(),
            p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, one, 0], np.float64),
            binning_x=0,
            binning_y=0,
            roi=region,
        )

    def _targets(self, header, sample: Sample):
        height, width = sample.image.shape
        nowhere = self._types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0)
        target = self._types["dsad_msgs/msg/Target"]
        boxes = np.empty((0, 4)) if sample.boxes is None else sample.boxes
        targets = [
            target(**fields, has_bearing=False, bearing=nowhere) for fields in label_fields(boxes, sample.ids)
        ]
        return self._types[TARGET_ARRAY](
            header=header, height=height, width=width, targets=targets, targets_cut=0
        )


def label_fields(boxes: np.ndarray, ids: np.ndarray | None) -> list[dict]:
    """Fields of the dsad_msgs/Targets that stand for labelled boxes, but for the bearing.

    Args:
        boxes: (N, 4) left, top, width, height in pixels.
        ids: (N,) of their targets, from 0, or None: a message counts from 1, for 0 says that nobody knows.
    """
    numbers = [0] * len(boxes) if ids is None else (ids + 1).tolist()
    return [target_fields(*box) | {"track_id": number} for box, number in zip(boxes.tolist(), numbers)]


def target_fields(left: float, top: float, width: float, height: float) -> dict:
    """Fields of a dsad_msgs/Target that stands for a labelled box, but for the bearing.

    Pixel centres have whole coordinates, so the box of pixel 0 alone is 1 wide and centred on 0.
    """
    return {
        "x": left + (width - 1) / 2,
        "y": top + (height - 1) / 2,
        "left": max(0, round(left)),
        "top": max(0, round(top)),
        "width": max(1, round(width)),
        "height": max(1, round(height)),
        "area": 0,
        "score": 1.0,
    }
