"""Replay of a rosbag2: its serialised messages as they are, at their pace, under their own names."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import count, groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from rclpy.serialization import deserialize_message, serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from dsad_common.parameters import Parameter
from dsad_common.qos import reliable
from dsad_common.run import main as run
from dsad_common.stamps import stamp_ns, to_stamp
from dsad_common.topics import IMAGE_RAW
from dsad_core.errors import BagError, FrameError, UsageError
from dsad_core.frame.compressed import decode_compressed
from dsad_source.cdr import read_stamp, replace_stamp
from dsad_source.messages import image_message
from dsad_source.routes import COMPRESSED_IMAGE, Route, has_header, message_class, plan_routes
from dsad_source.source_node import Item, SourceNode
from dsad_tools.bags.read import BagReader

_LONE_FRAME_GAP = 40_000_000  # ns between passes over a bag of one frame
_REMEMBERED = 64  # recorded stamps whose replacement is known, for what arrives a little later

TABLE = (
    Parameter("bag", "", "rosbag2 folder, or an .mcap or .db3 file."),
    Parameter(
        "rate",
        0.0,
        "Factor on the recorded pace. 0: the recorded pace; in lock-step, as fast as answers come.",
        minimum=0.0,
        maximum=1000.0,
    ),
    Parameter(
        "image_topic",
        "",
        "The bag's topic of frames; it and its companions then go out as image_raw, "
        "camera_info and so on. Empty: found, and everything keeps its own name.",
    ),
    Parameter(
        "topics",
        [""],
        "The bag's topics to send, * for all. Empty: the inputs, that is frames, "
        "camera info and ground truth.",
    ),
    Parameter("restamp", False, "Replace stamps by the time of sending."),
    Parameter("clock", False, "Publish the recorded time on /clock."),
)


class Message(NamedTuple):
    """One serialised message: when it was logged, the stamp in its header if it has one, and in which pass
    over a looping bag it is sent."""

    topic: str
    logged: int
    data: bytes
    stamp: int | None
    turn: int


class BagReplay(SourceNode):
    """Publishes serialised messages of a bag without decoding them, but for compressed frames, which it sends raw."""

    def __init__(self):
        super().__init__(TABLE)
        if not self.value("bag"):
            raise UsageError("bag is empty: name the rosbag2 to replay, bag:=<folder>.")
        if self.value("restamp") and self.value("clock"):
            raise UsageError("restamp and clock exclude each other: /clock tells the recorded time.")
        self._bag = Path(self.value("bag"))
        self._reader = BagReader(self._bag)
        for note in self._reader.info().notes:
            self.get_logger().warning(f"{self._bag}: {note}")
        self._replacements: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._turns = count()
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10) if self.value("clock") else None
        self._clock_time: int | None = None
        routes = self._routes()
        self._publishers_by_topic = {}
        self._with_header = set()
        for route in routes:
            self._add(route)
        frames = next(route for route in routes if route.frames)
        self._frames, self._compressed = frames.topic, frames.type == COMPRESSED_IMAGE
        frame_publisher = self._publishers_by_topic[self._frames]
        unpaced = self.value("lock_step") and not self.value("rate")
        self.begin(
            frame_publisher,
            [
                publisher
                for publisher in self._publishers_by_topic.values()
                if publisher is not frame_publisher
            ],
            None if unpaced else self.value("rate") or 1.0,
            f"bag {self._bag}",
        )

    def items(self) -> Iterator[Item]:
        """Messages in recorded order; among those of one instant the frame is last, as from a live source."""
        limit, loop = self.value("limit"), self.value("loop")
        frames, offset = 0, 0
        while True:
            turn, start, times = next(self._turns), None, []
            for logged, messages in groupby(self._messages(), key=itemgetter(1)):
                start = logged if start is None else start
                for topic, _, data in sorted(messages, key=lambda message: message[0] == self._frames):
                    frame = topic == self._frames
                    yield Item(
                        offset + logged - start,
                        frame,
                        Message(topic, logged, data, self._recorded(topic, data), turn),
                    )
                    if frame:
                        times.append(logged)
                        frames += 1
                        if frames == limit:
                            return
            if not times:
                raise BagError(f"{self._bag}: {self._frames} holds no message; nothing to replay")
            if not loop:
                return
            gap = (times[-1] - times[0]) // (len(times) - 1) if len(times) > 1 else _LONE_FRAME_GAP
            offset += times[-1] - start + gap

    def stamp(self, item: Item) -> int:
        """The recorded stamp, or its replacement, the same for everything that was stamped alike."""
        message = item.content
        if not self.value("restamp") or message.stamp is None:
            return message.stamp or 0
        recorded = (message.turn, message.stamp)
        # Stamp 0 says that the recorder did not stamp: such messages have nothing in common.
        if message.stamp and recorded in self._replacements:
            return self._replacements[recorded]
        stamp = self.now_unique()
        self._replacements[recorded] = stamp
        if len(self._replacements) > _REMEMBERED:
            self._replacements.popitem(last=False)
        return stamp

    def send(self, item: Item, stamp: int) -> None:
        """The bytes as recorded, but for a replaced stamp."""
        message = item.content
        if self._clock_publisher is not None and message.logged != self._clock_time:
            self._clock_time = message.logged
            self._clock_publisher.publish(Clock(clock=to_stamp(message.logged)))
        unchanged = message.stamp is None or message.stamp == stamp
        data = message.data if unchanged else replace_stamp(message.data, stamp)
        self._publishers_by_topic[message.topic].publish(data)

    def facts(self) -> dict[str, object]:
        """What is replayed under which name."""
        sent = self._publishers_by_topic.items()
        return {
            "bag": self._bag,
            **self._origin(),
            "notes": "; ".join(self._reader.info().notes),
            **{f"sends {topic}": publisher.topic_name for topic, publisher in sent},
        }

    def _origin(self) -> dict[str, str]:
        """What the bag was made of; a part of a split is another set of frames than the split."""
        origin, limit = self._reader.info().origin, self.value("limit")
        frames = next(topic.count for topic in self._reader.topics() if topic.name == self._frames)
        whole = not limit or limit >= frames
        return {key: text for key, text in origin.items() if whole or key != "split_hash"}

    def _messages(self) -> Iterator[tuple[str, int, bytes]]:
        for topic, logged, data in self._reader.messages(raw=True, topics=list(self._publishers_by_topic)):
            if self._compressed and topic == self._frames:
                data = self._decoded(data)
            yield topic, logged, data

    def _decoded(self, data: bytes) -> bytes:
        """The Image in place of a CompressedImage, both serialised."""
        message = deserialize_message(data, CompressedImage)
        try:
            image = image_message(decode_compressed(message.format, message.data))
        except FrameError as error:
            raise BagError(
                f"{self._bag}: {self._frames}, stamp {stamp_ns(message.header.stamp)}: {error}"
            ) from None
        image.header = message.header
        return serialize_message(image)

    def _recorded(self, topic: str, data: bytes) -> int | None:
        if topic not in self._with_header:
            return None
        try:
            return read_stamp(data)
        except ValueError as error:
            raise BagError(f"{self._bag}: corrupt message on {topic}: {error}") from None

    def _routes(self) -> list[Route]:
        expected = self.resolve_topic_name(IMAGE_RAW)
        topics = {topic.name: topic.type for topic in self._reader.topics()}
        try:
            routes = plan_routes(
                topics, self.value("image_topic"), expected, [name for name in self.value("topics") if name]
            )
        except BagError as error:
            raise BagError(f"{self._bag}: {error}") from None
        unknown = sorted({route.type for route in routes if message_class(route.type) is None})
        if unknown:
            self.get_logger().warning(f"not sent, this system lacks their types: {', '.join(unknown)}")
        outdated = sorted({route.type for route in routes} & self._reader.outdated())
        if outdated:
            self.get_logger().warning(
                f"not sent, recorded with another version of their types: {', '.join(outdated)}; dsad evaluate reads them"
            )
        unknown += outdated
        frames = next(route for route in routes if route.frames)
        if self.resolve_topic_name(frames.name) != expected and self.get_namespace() != "/":
            self.get_logger().warning(
                f"the bag's frames keep their name {frames.name}, this graph's are on "
                f"{expected}; image_topic:={frames.name} brings the two together"
            )
        return [route for route in routes if route.type not in unknown]

    def _add(self, route: Route) -> None:
        message = Image if route.frames else message_class(route.type)
        qos = self.frame_qos() if route.frames else reliable(50)
        self._publishers_by_topic[route.topic] = self.qos_watch.publisher(message, route.name, qos)
        if has_header(message):
            self._with_header.add(route.topic)


def main() -> None:
    """Run the node."""
    run(BagReplay)
