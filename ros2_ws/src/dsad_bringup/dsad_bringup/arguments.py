"""The arguments of a run, described once for ``ros2 launch`` and for ``dsad up``.

Both take ROS-style ``name:=value`` strings. An argument whose default is empty is only passed on
when given, so that what it would set can come from the parameter file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dsad_core.engines.backends import BACKENDS
from dsad_core.engines.target_file import TARGETS
from dsad_core.errors import UsageError

SOURCES = ("camera", "bag", "folder", "video", "synthetic", "dataset", "none")
MATCHINGS = ("nearest", "dnanet", "box")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True)
class Argument:
    """One ``name:=value`` argument.

    Args:
        name: as typed.
        default: as typed; empty means not given.
        description: one line for ``--show-args``.
        kind: type of the value, one of bool, int, float, str.
        choices: allowed values of a text.
        minimum: inclusive lower bound of a number.
    """

    name: str
    default: str
    description: str
    kind: type = str
    choices: tuple[str, ...] = ()
    minimum: float | None = None

    def parse(self, text: str) -> Any:
        """The typed value of ``text``; None where it is empty.

        Raises:
            UsageError: a value of another type, out of range or not among the choices.
        """
        text = text.strip()
        if not text:
            if self.default:
                raise UsageError(f"{self.name}:= needs a value; its default is {self.default}")
            return None
        if self.choices and text not in self.choices:
            raise UsageError(f"{self.name}:={text}: not one of {', '.join(self.choices)}")
        if self.kind is bool:
            if text.lower() not in ("true", "false"):
                raise UsageError(f"{self.name}:={text}: not one of true, false")
            return text.lower() == "true"
        if self.kind is str:
            return text
        try:
            value = self.kind(text)
        except ValueError:
            kind = "a whole number" if self.kind is int else "a number"
            raise UsageError(f"{self.name}:={text}: not {kind}") from None
        # The negated comparison refuses NaN too.
        if self.minimum is not None and not value >= self.minimum:
            raise UsageError(f"{self.name}:={text}: below the least value {self.minimum:g}")
        if value in (float("inf"), float("-inf")):
            raise UsageError(f"{self.name}:={text}: not a finite number")
        return value


ARGUMENTS: tuple[Argument, ...] = (
    Argument("target", "cpu", "What the engine runs on.", choices=TARGETS),
    Argument("backend", "", f"{', '.join(BACKENDS)}; the target's first that can run if empty."),
    Argument("engine", "", "Engine by name or folder; the suite's for such a source if empty."),
    Argument("build_only", "false", "Build what the device needs to run the engine, then end.", bool),
    Argument("threshold", "", "Detection threshold, 0..1; the engine's own if empty.", float),
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
    Argument("image_topic", "image_raw", "Topic of the frames; in the namespace unless it starts with /."),
    Argument("camera_info_topic", "camera_info", "Topic of the camera's calibration, likewise."),
    Argument("namespace", "/irst", "Namespace of every node and topic."),
    Argument("params_file", "", "YAML file of node parameters; the installed params.yaml if empty."),
    Argument("use_sim_time", "false", "Take the time from /clock, which a bag replay publishes.", bool),
    Argument("autostart", "true", "Configure and activate the detector at start.", bool),
    Argument("log_level", "info", "Least severity that the nodes log.", choices=LOG_LEVELS),
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


def parse_arguments(given: Mapping[str, str]) -> dict[str, Any]:
    """Typed values of all arguments, defaults filled in; None for one that is empty.

    Raises:
        UsageError: a value that its argument refuses.
    """
    return {each.name: each.parse(given.get(each.name, each.default)) for each in ARGUMENTS}
