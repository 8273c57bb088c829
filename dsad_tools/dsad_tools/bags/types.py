"""ROS message types as rosbags knows them: Jazzy's own, and ours from their .msg files."""

from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

IMAGE = "sensor_msgs/msg/Image"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
TARGET_ARRAY = "dsad_msgs/msg/TargetArray"


@cache
def typestore() -> Typestore:
    """Types that bags of this suite hold. Shared: do not register others in it."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    # The definitions are the ones that rosidl builds the message package from.
    for path in sorted((Path(__file__).parent / "msg").glob("*.msg")):
        types |= get_types_from_msg(path.read_text(), f"dsad_msgs/msg/{path.stem}")
    store.register(types)
    return store
