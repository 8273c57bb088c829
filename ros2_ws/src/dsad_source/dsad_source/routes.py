"""Which topics of a bag are sent, and under which names."""

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsad_common import topics as names
from dsad_core.errors import BagError, UsageError
from dsad_tools.bags.source import raw_name
from dsad_tools.bags.types import COMPRESSED_IMAGE

IMAGE = names.TYPES[names.IMAGE_RAW]


@dataclass(frozen=True)
class Route:
    """One topic of a bag and the name under which it is sent; compressed frames are sent as raw ones."""

    topic: str
    type: str
    name: str
    frames: bool


def plan_routes(
    topics: Mapping[str, str], image_topic: str, expected: str, wanted: Sequence[str]
) -> list[Route]:
    """Choose what is sent.

    Args:
        topics: name to type of everything in the bag.
        image_topic: the bag's topic of frames, raw or compressed; then it and its companions are sent under the suite's
            names, relative to the node. "": found, and everything keeps its own name.
        expected: full name of the frames in the running graph, preferred among several image topics.
        wanted: topics to send, ``*`` for all; empty for the inputs: frames, camera info and truth.

    Raises:
        BagError: no frames, several candidates, or a wanted topic that is not there.
        UsageError: ``wanted`` leaves out the frames.
    """
    frames = _frames_topic(topics, image_topic, expected)
    parent = raw_name(frames).rpartition("/")[0]
    inputs = [frames, *(f"{parent}/{name}" for name in names.COMPANIONS)]
    if absent := [name for name in wanted if name != "*" and name not in topics]:
        raise BagError(f"topics: the bag has no {', '.join(absent)}; it holds {_listing(topics)}")
    chosen = list(topics) if "*" in wanted else list(wanted) or inputs
    if frames not in chosen:
        raise UsageError(f"topics: {', '.join(wanted)} leaves out the frames, {frames}; add them")

    def name(topic: str) -> str:
        if not image_topic or topic not in inputs:
            return raw_name(topic) if topic == frames else topic
        return names.IMAGE_RAW if topic == frames else topic.rpartition("/")[2]

    return [Route(topic, topics[topic], name(topic), topic == frames) for topic in chosen if topic in topics]


def message_class(type_name: str) -> type | None:
    """The Python class of ``package/msg/Name``; None where this system lacks it."""
    match = re.fullmatch(r"(\w+)/msg/(\w+)", type_name)
    if not match:
        return None
    try:
        return getattr(importlib.import_module(f"{match[1]}.msg"), match[2], None)
    except ImportError:
        return None


def has_header(message: type) -> bool:
    """Whether serialised messages of this class begin with a stamp."""
    first = next(iter(message.get_fields_and_field_types().values()), "")
    return first == "std_msgs/Header"


def _frames_topic(topics: Mapping[str, str], image_topic: str, expected: str) -> str:
    images = [name for name, kind in topics.items() if kind == IMAGE]
    compressed = [name for name, kind in topics.items() if kind == COMPRESSED_IMAGE]
    if image_topic:
        if image_topic not in images + compressed:
            raise BagError(
                f"image_topic: the bag has no images on {image_topic}; it holds {_listing(topics)}"
            )
        return image_topic
    candidates = _frames_of(images) or _frames_of(compressed)
    for name in candidates:
        if raw_name(name) == expected:
            return name
    if not candidates:
        raise BagError(f"the bag has no frames ({IMAGE}, {COMPRESSED_IMAGE}); it holds {_listing(topics)}")
    if len(candidates) > 1:
        raise BagError(
            f"the bag has several topics of images, {', '.join(candidates)}; set image_topic to one of them"
        )
    return candidates[0]


def _frames_of(images: Sequence[str]) -> list[str]:
    return [name for name in images if raw_name(name).rpartition("/")[2] not in names.NO_FRAMES]


def _listing(topics: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in topics.items()) or "nothing"
