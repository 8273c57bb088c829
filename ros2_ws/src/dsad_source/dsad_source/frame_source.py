"""Frames of a camera, a folder, a video, a data set or the scene generator, with their truth."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from dsad_common import topics
from dsad_common.parameters import Parameter
from dsad_common.qos import latched, reliable
from dsad_common.run import main as run
from dsad_common.stamps import to_stamp
from dsad_core.errors import DataError, UsageError
from dsad_core.frame.encodings import find_encoding
from dsad_msgs.msg import SourceInfo, TargetArray
from dsad_source.calibration import from_file, from_focal_lengths
from dsad_source.messages import image_message, truth_message
from dsad_source.source_node import Item, SourceNode
from dsad_tools.data.camera import Camera
from dsad_tools.data.open import open_source
from dsad_tools.data.sample import SampleSource, split_hash_of
from dsad_tools.scenes.clutter import TERRAINS
from dsad_tools.scenes.generator import DTYPES, SceneGenerator

_STILLS_RATE = 25.0  # Hz, of images that have no rate of their own
_ENDLESS = 10_000_000  # frames of a generator without limit: four days at 25 Hz
_KINDS = {
    "folder": ("images", "sequence", "dataset"),
    "video": ("video", "sequence"),
    "dataset": ("dataset", "sequence"),
}

TABLE = (
    Parameter(
        "source",
        "synthetic",
        "Where frames come from.",
        choices=("camera", "folder", "video", "synthetic", "dataset"),
    ),
    Parameter(
        "path",
        "",
        "Image folder, video file or data set folder; annotated sequences pass for each. "
        "Camera: same as device.",
    ),
    Parameter("split", "test", "Of a data set: test, train or all."),
    Parameter(
        "device",
        "0",
        "Camera, where path is empty: V4L2 index or node, GStreamer pipeline, or stream address.",
    ),
    Parameter(
        "width",
        0,
        "Camera: wanted width, 0 for its own. Generator: 0 is 256.",
        minimum=0,
        maximum=16384,
        unit="px",
    ),
    Parameter(
        "height",
        0,
        "Camera: wanted height, 0 for its own. Generator: 0 is 256.",
        minimum=0,
        maximum=16384,
        unit="px",
    ),
    Parameter(
        "rate",
        0.0,
        "Frames a second. 0: the data's own rate, stills 25; in lock-step, as fast as answers come.",
        minimum=0.0,
        maximum=10000.0,
        unit="Hz",
    ),
    Parameter(
        "encoding",
        "",
        "Of 'image_raw'; empty: mono8, mono16 or 32FC1 as the data are stored. "
        "Counts are widened, never scaled.",
    ),
    Parameter("frame_id", "infrared_optical", "Frame of the camera, z forward."),
    Parameter("seed", 0, "Of the generator.", minimum=0),
    Parameter("terrain", "mixed", "Of the generator.", choices=tuple(TERRAINS)),
    Parameter("fx", 0.0, "Focal length; fx, fy, cx, cy all 0: uncalibrated.", minimum=0.0, unit="px"),
    Parameter("fy", 0.0, "Focal length.", minimum=0.0, unit="px"),
    Parameter("cx", 0.0, "Principal point.", minimum=0.0, unit="px"),
    Parameter("cy", 0.0, "Principal point.", minimum=0.0, unit="px"),
    Parameter("camera_info_url", "", "Calibration file of camera_calibration, instead of fx, fy, cx, cy."),
)


class FrameSource(SourceNode):
    """Publishes truth and ``camera_info``, then ``image_raw``, all with one stamp."""

    def __init__(self):
        super().__init__(TABLE)
        self._calibration = (
            from_file(self.value("camera_info_url"))
            if self.value("camera_info_url")
            else from_focal_lengths(*map(self.value, ("fx", "fy", "cx", "cy")))
        )
        # An encoding that does not exist is refused now, not at the first frame.
        image_message(np.zeros((1, 1), np.uint8), self.value("encoding"))
        self._frame_id = self.value("frame_id")
        self._camera: Camera | None = None
        self._source: SampleSource | None = None
        self._misfits: set[tuple[int, int]] = set()
        if self.value("source") == "camera":
            self._camera, self.live = self._open_camera(), True
            name, rate = f"camera {self._camera.name}", None
        else:
            self._source = self._open_source()
            name, rate = self._source.name, self.value("rate") or self._source.fps or _STILLS_RATE
            self._tell_source()
        self._period = int(1e9 / (rate or _STILLS_RATE))
        unpaced = self._camera or (self.value("lock_step") and not self.value("rate"))
        self._images = self.qos_watch.publisher(Image, topics.IMAGE_RAW, self.frame_qos())
        self._infos = self.qos_watch.publisher(CameraInfo, topics.CAMERA_INFO, reliable(50))
        self._truths = self._truth_publisher()
        companions = [publisher for publisher in (self._infos, self._truths) if publisher]
        self.begin(self._images, companions, None if unpaced else 1.0, name)

    def items(self) -> Iterator[Item]:
        """Messages of every frame: image, camera info, truth or None; of a camera also the stamp."""
        return self._live() if self._camera else self._recorded()

    def stamp(self, item: Item) -> int:
        """A camera's frame has been stamped when it was read; others get the time they go out."""
        return item.content[-1] or self.now_unique()

    def send(self, item: Item, stamp: int) -> None:
        """Truth and camera info first, so that whoever joins by stamp has them when the frame comes."""
        image, info, truth, _ = item.content
        for message, publisher in ((truth, self._truths), (info, self._infos), (image, self._images)):
            if message is not None:
                message.header.stamp = to_stamp(stamp)
                message.header.frame_id = self._frame_id
                publisher.publish(message)

    def trouble(self) -> str | None:
        """What keeps the camera from giving frames."""
        return self._camera.trouble if self._camera else None

    def facts(self) -> dict[str, object]:
        """Of a camera: frames passed over and times opened anew. Else what the data have to say."""
        if self._camera:
            return {"frames skipped": self._camera.skipped, "camera reopened": self._camera.reopened}
        source = self._source
        return {
            "data_set": source.name,
            "split": getattr(source, "split", ""),
            "split_hash": self._split_hash(),
            "frames in source": len(source),
            "notes": "; ".join(source.notes),
        }

    def _split_hash(self) -> str:
        return split_hash_of(self._source, self.value("limit") or len(self._source))

    def _tell_source(self) -> None:
        source = self._source
        info = SourceInfo(name=source.name, split=getattr(source, "split", ""), split_hash=self._split_hash())
        info.header.stamp = self.get_clock().now().to_msg()
        self._source_info = self.qos_watch.publisher(SourceInfo, topics.SOURCE_INFO, latched())
        self._source_info.publish(info)

    def close(self) -> None:
        """Also let the camera go."""
        if self._camera:
            self._camera.close()
        super().close()

    def _live(self) -> Iterator[Item]:
        frames = enumerate(self._camera, start=1)
        # A frame is taken only when it can go out: after a pause the first one is fresh.
        while self.player.wait_start() and (numbered := next(frames, None)):
            count, (frame, stamp) = numbered
            yield Item(0, True, (*self._messages(frame), None, stamp))
            if count == self.value("limit"):
                return

    def _recorded(self) -> Iterator[Item]:
        limit, loop = self.value("limit"), self.value("loop")
        count = 0
        while True:
            for sample in self._source:
                truth = truth_message(sample)
                yield Item(count * self._period, True, (*self._messages(sample.image), truth, None))
                count += 1
                if count == limit:
                    return
            if not loop:
                return

    def _messages(self, frame) -> tuple[Image, CameraInfo]:
        height, width = frame.shape
        if not self._calibration.fits(width, height) and (width, height) not in self._misfits:
            self._misfits.add((width, height))
            self.get_logger().warning(
                f"the calibration is for {'x'.join(map(str, self._calibration.size))}, "
                f"frames are {width}x{height}: they go out as uncalibrated"
            )
        return image_message(frame, self.value("encoding")), self._calibration.message(width, height)

    def _open_camera(self) -> Camera:
        if self.value("lock_step"):
            raise UsageError("lock_step: a camera's frames cannot wait; record a bag and replay that.")
        return Camera(
            self.value("path") or self.value("device"),
            self.value("width"),
            self.value("height"),
            self.value("rate"),
            self._bits(),
            self.now_unique,
        )

    def _bits(self) -> int:
        """Of a sample that ``encoding`` stores as an integer; 0 where none is asked for."""
        encoding = self.value("encoding")
        dtype = find_encoding(encoding).dtype if encoding else np.dtype(np.float32)
        return 8 * dtype.itemsize if dtype.kind == "u" else 0

    def _open_source(self) -> SampleSource:
        kind, path, rate = self.value("source"), self.value("path"), self.value("rate")
        if kind == "synthetic":
            return SceneGenerator(
                self.value("height") or 256,
                self.value("width") or 256,
                self.value("limit") or _ENDLESS,
                self.value("seed"),
                DTYPES[self._bits() == 16],
                terrain=self.value("terrain"),
                fps=rate or _STILLS_RATE,
            )
        if not path:
            raise UsageError(f"path is empty: source {kind} needs the {kind} to read, path:=<{kind}>.")
        source = open_source(Path(path), self.value("split"))
        if source.kind not in _KINDS[kind]:
            raise DataError(
                f"{path}: holds a {source.kind}, not a {kind}; "
                + (
                    "replay it with bag_replay."
                    if source.kind == "bag"
                    else f"set source to {_fitting(source.kind)}."
                )
            )
        return source

    def _truth_publisher(self):
        if self._source is None or self._source.kind in ("images", "video"):
            return None
        if self._source.kind == "sequence":
            return self.qos_watch.publisher(TargetArray, topics.GROUND_TRUTH_TARGETS, reliable(50))
        return self.qos_watch.publisher(Image, topics.GROUND_TRUTH, reliable(50))


def _fitting(kind: str) -> str:
    return " or ".join(name for name, kinds in _KINDS.items() if kind in kinds)


def main() -> None:
    """Run the node."""
    run(FrameSource)
