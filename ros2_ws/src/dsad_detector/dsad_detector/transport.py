"""What to do about frames that get lost on their way, in one line."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

#: Jazzy and older read the first, Kilted and newer the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
#: Fast DDS passes smaller frames with its own settings.
SMALL_FRAME = 512 << 10
MEBIBYTE = 1 << 20


def advice(frame_bytes: int, rmw: str, environment: Mapping[str, str] = os.environ) -> str:
    """What would let frames of this size through.

    Args:
        frame_bytes: of the largest frame seen; 0 where none has come.
        rmw: the middleware, such as rmw_fastrtps_cpp.
    """
    if "fastrtps" not in rmw:
        return f"large frames need large buffers: see the documentation of {rmw}"
    if 0 < frame_bytes <= SMALL_FRAME:
        return "the machine is too busy, or the network too slow"
    given = next((environment[name] for name in PROFILE_VARIABLES if environment.get(name)), "")
    if not given:
        return (
            "frames above 0.5 MB need the DDS profile, in the environment of the camera driver and of this "
            f"node: export {PROFILE_VARIABLES[0]}={_our_profile(environment)} "
            f"({PROFILE_VARIABLES[1]} from Kilted on)"
        )
    segment = _segment_size(Path(given))
    if segment is None:
        return f"{given} sets no segment_size for shared memory; launch/fastdds.xml of this suite does"
    if frame_bytes >= segment:
        wanted = -(-2 * frame_bytes // MEBIBYTE) * MEBIBYTE
        return (
            f"a frame has {frame_bytes} bytes, segment_size in {given} is {segment}: set it to {wanted} or more, "
            "for the camera driver and for this node"
        )
    return f"this node has its DDS profile ({given}); the camera driver needs the same, or the machine is too busy"


def _our_profile(environment: Mapping[str, str]) -> str:
    for prefix in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "share" / "dsad_bringup" / "config" / "fastdds.xml"
        if prefix and path.is_file():
            return str(path)
    return "<this suite>/launch/fastdds.xml"


def _segment_size(profile: Path) -> int | None:
    """The smallest ``segment_size`` in the profile; None where it has none or cannot be read."""
    try:
        root = ElementTree.parse(profile).getroot()
        sizes = [int(each.text) for each in root.iter() if each.tag.rsplit("}")[-1] == "segment_size"]
    except (OSError, ElementTree.ParseError, TypeError, ValueError):
        return None
    return min(sizes, default=None)
