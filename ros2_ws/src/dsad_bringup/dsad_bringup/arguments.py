"""The arguments of the detector's launch; the laboratory adds its own to them.

They are ROS-style ``name:=value`` strings. An argument whose default is empty is only passed on
when given, so that what it would set can come from the parameter file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsad_common import topics
from dsad_core.engines.backends import BACKENDS
from dsad_core.engines.platform import PLATFORMS
from dsad_core.errors import UsageError

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
    Argument("target", "", "What the engine runs on; cpu if empty.", choices=PLATFORMS),
    Argument("backend", "", f"{', '.join(BACKENDS)}; the target's first that can run if empty."),
    Argument("engine", "", "Engine by name or folder; the suite's for such frames if empty."),
    Argument("build_only", "false", "Build what the device needs to run the engine, then end.", bool),
    Argument("threshold", "", "Detection threshold, 0..1; the engine's own if empty.", float),
    Argument(
        "image_topic", topics.IMAGE_RAW, "Topic of the frames; in the namespace unless it starts with /."
    ),
    Argument("camera_info_topic", topics.CAMERA_INFO, "Topic of the camera's calibration, likewise."),
    Argument("namespace", "irst", "Namespace of every node and topic; inside that of an including launch."),
    Argument("params_file", "", "YAML file of node parameters; the installed params.yaml if empty."),
    Argument("use_sim_time", "", "Take the time from /clock; false if empty.", bool),
    Argument("autostart", "", "Configure and activate the detector at start; true if empty.", bool),
    Argument("log_level", "info", "Least severity that the nodes log.", choices=LOG_LEVELS),
)

#: What detector.launch.py takes beside them.
LAUNCH_ARGUMENTS: tuple[Argument, ...] = (
    *ARGUMENTS,
    Argument(
        "camera", "", "Recipe of launch/cameras, such as boson, or a .yaml file: topics and parameters."
    ),
    Argument("respawn", "true", "Start a node again that has died.", bool),
    Argument("respawn_delay", "1.0", "Seconds before that.", float, minimum=0.0),
    Argument(
        "source", "none", "Also start this source of frames (dsad_replay): camera, bag, folder, video, ..."
    ),
    Argument("path", "", "Folder, video, data set, camera device or GStreamer pipeline of the source."),
    Argument("bag", "", "rosbag2 to replay, for source:=bag."),
    Argument(
        "rate", "", "Frames a second of the source; for a bag, a factor on its own speed.", float, minimum=0.0
    ),
    Argument("metrics", "false", "Also start the metrics node (dsad_replay).", bool),
    Argument("output", "", "Folder for metrics.json and report.html, for metrics:=true."),
)


#: Before each name in detector.launch.py: arguments of a launch are global, so that a launch which includes the
#: file would hit short ones such as ``namespace`` by accident.
PREFIX = "irst_"


def launch_values(configurations: Mapping[str, str], typed: Sequence[str] = ()) -> dict[str, str]:
    """Texts of ``LAUNCH_ARGUMENTS`` by their names without ``PREFIX``.

    Args:
        configurations: the launch's values, by names with ``PREFIX``.
        typed: words of the file's own command line, where ``PREFIX`` may be left out.

    Raises:
        UsageError: a word that no argument has.
    """
    given = {argument.name: configurations[PREFIX + argument.name] for argument in LAUNCH_ARGUMENTS}
    for word in typed:
        name, _, text = word.partition(":=")
        if name.removeprefix(PREFIX) not in given:
            raise UsageError(f"{word}: no argument '{name}'; --show-args lists them")
        given[name.removeprefix(PREFIX)] = text
    return given


def parse_arguments(given: Mapping[str, str], arguments: Sequence[Argument] = ARGUMENTS) -> dict[str, Any]:
    """Typed values of all arguments, defaults filled in; None for one that is empty.

    Raises:
        UsageError: a value that its argument refuses.
    """
    return {each.name: each.parse(given.get(each.name, each.default)) for each in arguments}
