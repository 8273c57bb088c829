"""A bag's frames with their ground truth, as a source of samples for offline evaluation."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dsad_core.errors import BagError, FrameError
from dsad_core.frame.codec import decode_message
from dsad_core.frame.compressed import decode_compressed
from dsad_tools.bags.read import BagReader, TopicInfo
from dsad_tools.bags.types import COMPRESSED_IMAGE, IMAGE, TARGET_ARRAY
from dsad_tools.data.sample import Sample

#: Last parts of the names of Image topics that are no camera's.
_NOT_FRAMES = ("ground_truth", "mask", "overlay")


class BagSource:
    """Samples of a bag, named by their header stamp in nanoseconds; frame and truth meet by exact stamp.

    Truth is ``ground_truth`` (masks) and ``ground_truth_targets`` (boxes) beside the frames' topic. Where
    stamps repeat (a driver that leaves them 0), the first truth of a stamp belongs to its first frame.

    Args:
        path: the bag.
        image_topic: the frames' topic, of Image or CompressedImage; None finds the only one.

    Raises:
        BagError: see `BagReader`; or no topic holds frames, or several do. While iterating: damage, or a
            frame that cannot be decoded.
    """

    kind = "bag"

    def __init__(self, path: str | Path, image_topic: str | None = None):
        self._reader = BagReader(path)
        self._frames = find_frames(self._reader, image_topic)
        origin = self._reader.info().origin
        self.name = origin.get("data_set") or Path(path).resolve().name
        self.split, self.split_hash = origin.get("split", ""), origin.get("split_hash", "")
        self.notes: list[str] = list(self._reader.info().notes)
        seconds, steps = self._reader.info().duration_ns / 1e9, self._frames.count - 1
        self.fps: float | None = steps / seconds if seconds and steps else None

    def __len__(self) -> int:
        return self._frames.count

    def __iter__(self) -> Iterator[Sample]:
        masks, boxes = self._truth("ground_truth", IMAGE), self._truth("ground_truth_targets", TARGET_ARRAY)
        for _, _, message in self._reader.messages(topics=[self._frames.name]):
            stamp = _stamp_ns(message.header)
            image = self._decode(message, self._frames.name, stamp)
            mask = masks[stamp].popleft() if masks[stamp] else None
            box, ids = boxes[stamp].popleft() if boxes[stamp] else (None, None)
            yield Sample(
                str(stamp),
                image,
                None if mask is None else np.where(_unpacked(mask), np.uint8(255), np.uint8(0)),
                box,
                ids,
                stamp,
            )

    def _truth(self, name: str, type_name: str) -> defaultdict[int, deque]:
        """Truth by stamp. Masks are kept as bits: those of an hour fit into memory."""
        topic = f"{raw_name(self._frames.name).rpartition('/')[0]}/{name}"
        found: defaultdict[int, deque] = defaultdict(deque)
        if not any(known.name == topic and known.type == type_name for known in self._reader.topics()):
            return found
        for _, _, message in self._reader.messages(topics=[topic]):
            stamp = _stamp_ns(message.header)
            if type_name == IMAGE:
                mask = self._decode(message, topic, stamp)
                found[stamp].append((mask.shape, np.packbits(mask > 0)))
            else:
                rows = [(target.left, target.top, target.width, target.height) for target in message.targets]
                boxes = np.array(rows, np.float32).reshape(-1, 4)
                found[stamp].append((boxes, label_ids(message.targets)))
        return found

    def _decode(self, message, topic: str, stamp: int) -> np.ndarray:
        try:
            if hasattr(message, "format"):
                return decode_compressed(message.format, message.data)
            return decode_message(message)
        except FrameError as error:
            raise BagError(f"{self._reader.path}: {topic}, stamp {stamp}: {error}") from None


def find_frames(reader: BagReader, image_topic: str | None = None) -> TopicInfo:
    """The topic of a bag that holds a camera's frames.

    Args:
        image_topic: its name; None takes the only topic of images that is no mask, overlay or truth: raw ones, or
            compressed ones where the bag holds no raw ones.

    Raises:
        BagError: there is none, it is empty, or there are several and none was named.
    """
    frames = _of_type(reader, IMAGE, image_topic) or _of_type(reader, COMPRESSED_IMAGE, image_topic)
    names = ", ".join(f"{topic.name} ({topic.type})" for topic in reader.topics()) or "no topic"
    if len(frames) > 1:
        found = ", ".join(topic.name for topic in frames)
        raise BagError(f"{reader.path}: several topics hold images: {found}; name one")
    if frames and frames[0].count:
        return frames[0]
    if frames:
        raise BagError(f"{reader.path}: {frames[0].name} holds no message; there is nothing to detect in")
    wanted = f"no Image topic {image_topic}" if image_topic else "no topic of sensor_msgs/msg/Image"
    raise BagError(f"{reader.path}: {wanted}; it holds {names}")


def label_ids(targets) -> np.ndarray | None:
    """Numbers (N,) of the labelled targets of a dsad_msgs/TargetArray; None where one of them has none."""
    ids = [getattr(target, "track_id", 0) for target in targets]  # bags of old have none
    return np.array(ids, np.int64) - 1 if all(ids) else None


def _of_type(reader: BagReader, kind: str, name: str | None) -> list[TopicInfo]:
    images = [topic for topic in reader.topics() if topic.type == kind]
    if name is not None:
        return [topic for topic in images if topic.name == name]
    return [topic for topic in images if raw_name(topic.name).rpartition("/")[2] not in _NOT_FRAMES]


def raw_name(topic: str) -> str:
    """The topic that image_transport compressed: ``/camera/image_raw`` of ``/camera/image_raw/compressed``."""
    return topic.removesuffix("/compressed")


def _stamp_ns(header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def _unpacked(packed: tuple[tuple[int, int], np.ndarray]) -> np.ndarray:
    shape, bits = packed
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape)
