"""The arguments of an evaluated run, described once for ``ros2 launch`` and for ``dsad up``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dsad_bringup.arguments import ARGUMENTS as DETECTOR_ARGUMENTS
from dsad_bringup.arguments import Argument, parse_arguments
from dsad_core.errors import UsageError
from dsad_core.metrics.counts import MATCHINGS

SOURCES = ("camera", "bag", "folder", "video", "synthetic", "dataset", "none")

ARGUMENTS: tuple[Argument, ...] = (
    *DETECTOR_ARGUMENTS,
    Argument(
        "source",
        "none",
        "Where frames come from; none: a driver of your own publishes image_raw.",
        choices=SOURCES,
    ),
    Argument("path", "", "Image folder, video, data set, or camera device or GStreamer pipeline."),
    Argument("bag", "", "rosbag2 to replay, for source:=bag."),
    Argument("rate", "", "Frames a second; for a bag, a factor on its own speed.", float, minimum=0.0),
    Argument("loop", "false", "Start over at the end of the source.", bool),
    Argument("limit", "0", "End after this many frames; 0: at the end of the source.", int, minimum=0),
    Argument("lock_step", "false", "Hold each frame until the last is answered: none is dropped.", bool),
    Argument("matching", "nearest", "How predictions are matched to the truth.", choices=MATCHINGS),
    Argument("record", "", "Record the run to this new bag folder."),
    Argument("output", "", "Folder for metrics.json, report.html and logs; none are kept if empty."),
)


def read_assignments(words: Iterable[str]) -> dict[str, str]:
    """``["source:=bag", "bag:=run.mcap"]`` as a mapping of texts; later words win.

    Raises:
        UsageError: a word that is no ``name:=value``, or a name that no argument has.
    """
    known = {argument.name for argument in ARGUMENTS}
    given = {}
    for word in words:
        name, separator, text = word.partition(":=")
        if not separator:
            raise UsageError(f"'{word}' is no argument: write name:=value (dsad up --show-args lists them)")
        if name not in known:
            raise UsageError(f"{word}: no argument '{name}' (dsad up --show-args lists them)")
        given[name] = text
    return given


def parse_replay_arguments(given: Mapping[str, str]) -> dict[str, Any]:
    """See `dsad_bringup.arguments.parse_arguments`."""
    return parse_arguments(given, ARGUMENTS)
