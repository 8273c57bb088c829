"""The detector as a vehicle starts it, described without ROS.

``launch/detector.launch.py`` turns it into a launch_ros action. The laboratory adds its nodes to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsad_bringup.arguments import LAUNCH_ARGUMENTS, parse_arguments
from dsad_bringup.camera_recipe import read_recipe
from dsad_bringup.parameter_file import parameters_of, read_parameters
from dsad_common import topics
from dsad_core.engines.backends import check_platform
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import load_manifest
from dsad_core.errors import UsageError
from dsad_core.plugins import plugins

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


@dataclass(frozen=True)
class NodeSpec:
    """One node: one process.

    Args:
        package, executable: where its program is installed.
        name, namespace: its full name is the two joined by ``/``; a namespace without a leading slash lies
            inside that of an including launch.
        parameters: set over those of the parameter file.
        remappings: (from, to) topic names.
        stop_seconds: how long it may take to finish after SIGINT, such as to write its report.
        ends: whether it comes to an end by itself; such a node is not started again.
        only_listens: nobody waits for what it publishes: it is stopped once the others have ended.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    stop_seconds: float = 10.0
    ends: bool = False
    only_listens: bool = False

    @property
    def full_name(self) -> str:
        """Fully qualified node name."""
        return "/".join(["", *self.namespace.strip("/").split("/"), self.name]).replace("//", "/")


@dataclass(frozen=True)
class Graph:
    """Everything a launch starts.

    Args:
        nodes: in the order in which they are told to stop.
        environment: variables to set for every node.
        params_file: node parameters that the arguments do not set.
        namespace: of every node and topic.
        log_level: of every node.
        builder: the node that builds the engine, alone, where nothing else is to run.
        respawn, respawn_delay: whether a node that died is started again, and after how many seconds.
    """

    nodes: tuple[NodeSpec, ...]
    environment: Mapping[str, str]
    params_file: Path
    namespace: str
    log_level: str
    builder: NodeSpec | None = None
    respawn: bool = False
    respawn_delay: float = 0.0


def build_graph(given: Mapping[str, str], share: Path, outer: str = "") -> Graph:
    """The detector, or the builder of its engine, checked as far as can be before anything starts.

    Args:
        given: argument texts by name; those absent take their defaults.
        share: installed share folder of dsad_bringup.
        outer: namespace that an including launch has pushed.

    Raises:
        UsageError: a bad argument.
        PlatformError: this machine lacks what the platform needs.
        EngineError: there is no such engine, or it does not agree with its manifest.
    """
    values = parse_arguments(given, LAUNCH_ARGUMENTS)
    values["namespace"] = checked_namespace(values["namespace"])
    settings = shared_settings(values, share)
    read_file(values, settings["params_file"], outer)
    recipe = _apply_recipe(values, share)
    engine = checked_engine(values, "camera")
    if values["build_only"]:
        builder = builder_node(values, engine)
        return Graph(nodes=(builder,), builder=builder, **settings)
    return Graph(
        nodes=(*_laboratory(given, values, outer), detector_node(values, engine, extra=recipe)),
        respawn=values["respawn"],
        respawn_delay=values["respawn_delay"],
        **settings,
    )


def read_file(values: dict[str, Any], params_file: Path, outer: str = "") -> None:
    """Note under ``file`` what the parameter file says to the detector where no argument is given.

    Raises:
        UsageError: it is no parameter file.
    """
    sections = read_parameters(params_file) if params_file.exists() else {}
    namespace = values["namespace"]
    inside = namespace if namespace.startswith("/") else f"{outer}/{namespace}"
    detector = NodeSpec("", "", "detector", inside).full_name
    values["file"] = parameters_of(sections, detector)


def chosen(values: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """The argument's value, else the parameter file's, else ``default``."""
    given = values[name] if values[name] is not None else values["file"].get(name)
    return default if given in (None, "") else given


def _apply_recipe(values: dict[str, Any], share: Path) -> dict[str, Any]:
    """Take topics that no argument names from the camera's recipe; returns its parameters for the detector.

    A parameter that the user's own file names is left to the file.
    """
    if values["camera"] is None:
        return {}
    recipe = read_recipe(values["camera"], share / "config" / "cameras")
    for argument in LAUNCH_ARGUMENTS:
        topic = (
            getattr(recipe, argument.name, "")
            if argument.name in ("image_topic", "camera_info_topic")
            else ""
        )
        if topic and values[argument.name] == argument.default:
            values[argument.name] = topic
    own_file = values["file"] if values["params_file"] else {}
    return {name: value for name, value in recipe.detector.items() if name not in own_file}


def _laboratory(given: Mapping[str, str], values: Mapping[str, Any], outer: str) -> tuple[NodeSpec, ...]:
    """Source and metrics where they are asked for; the laboratory's package offers them.

    Raises:
        UsageError: it is not installed.
    """
    if values["source"] == "none" and not values["metrics"]:
        return ()
    offered = plugins("launch")
    if "laboratory" not in offered:
        asked = f"source:={values['source']}" if values["source"] != "none" else "metrics:=true"
        raise UsageError(f"{asked}: the laboratory is not installed; build dsad_replay and source its setup")
    return tuple(offered["laboratory"].load()(given, values, outer))


def shared_settings(values: Mapping[str, Any], share: Path) -> dict[str, Any]:
    """The fields of a `Graph` that every node shares."""
    return {
        "environment": dds_profile(share),
        "params_file": existing_path("params_file", values["params_file"])
        or share / "config" / "params.yaml",
        "namespace": values["namespace"],
        "log_level": values["log_level"],
    }


def dds_profile(share: Path) -> dict[str, str]:
    """Fast DDS up to 2.14 reads the first variable, 3 the second; a profile of the user's wins."""
    if any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        return {}
    return dict.fromkeys(PROFILE_VARIABLES, str(share / "config" / "fastdds.xml"))


def checked_engine(values: Mapping[str, Any], role: str) -> Path:
    """Folder of the engine that is named, or of the suite's for a role, once this machine can run it."""
    check_platform(chosen(values, "target", "cpu"), chosen(values, "backend")).require()
    engine = find_engine(chosen(values, "engine", role))
    load_manifest(engine)
    return engine


def detector_node(
    values: Mapping[str, Any],
    engine: Path,
    listeners: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> NodeSpec:
    """The detector; it waits for the nodes ``listeners`` before it takes frames. Arguments win over ``extra``."""
    threshold = values["threshold"]
    if threshold is not None and not 0.0 < threshold < 1.0:
        raise UsageError(f"threshold:={threshold:g}: must lie between 0 and 1, both excluded")
    parameters = dict(extra or {}) | _engine(values, engine)
    parameters |= if_given(values, "autostart") | if_given(values, "use_sim_time")
    if listeners:
        parameters["wait_for"] = list(listeners)
    return make_node(
        values, "dsad_detector", "detector", "detector", parameters | if_given(values, "threshold")
    )


def builder_node(values: Mapping[str, Any], engine: Path) -> NodeSpec:
    """The node that builds the engine and ends. It has the detector's name, for its parameters of the file."""
    return make_node(values, "dsad_detector", "build_engine", "detector", _engine(values, engine))


def make_node(
    values: Mapping[str, Any],
    package: str,
    executable: str,
    name: str,
    parameters: Mapping[str, Any],
    stop_seconds: float = 10.0,
    ends: bool = False,
) -> NodeSpec:
    """A node in the namespace of the launch, with its image and calibration topics."""
    remappings = tuple(
        (topic, values[argument])
        for topic, argument in ((topics.IMAGE_RAW, "image_topic"), (topics.CAMERA_INFO, "camera_info_topic"))
        if values[argument] != topic
    )
    return NodeSpec(
        package, executable, name, values["namespace"], parameters, remappings, stop_seconds, ends
    )


def if_given(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The parameter of that name; nothing where its argument is empty, so that the file can set it."""
    return {} if values[name] is None else {name: values[name]}


def checked_namespace(text: str) -> str:
    """The namespace without a slash at its end; it stays relative where it has none at its beginning."""
    segments = text.strip("/").split("/") if text.strip("/") else []
    if not all(segment.isidentifier() and segment.isascii() for segment in segments):
        raise UsageError(f"namespace:={text}: letters, digits and _ only, parts joined by /")
    return ("/" if text.startswith("/") else "") + "/".join(segments)


def absolute_path(path: str | None) -> Path | None:
    """The path wherever a node starts; None where there is none."""
    return Path(path).expanduser().resolve() if path else None


def existing_path(argument: str, path: str | None) -> Path | None:
    """The absolute path of a file or folder that exists; None where none is given."""
    absolute = absolute_path(path)
    if absolute is not None and not absolute.exists():
        raise UsageError(f"{argument}:={path}: no such file or folder ({absolute})")
    return absolute


def _engine(values: Mapping[str, Any], engine: Path) -> dict[str, Any]:
    named = values["engine"] is None and values["file"].get("engine")
    parameters = {} if named else {"engine": str(engine)}
    return parameters | if_given(values, "target") | if_given(values, "backend")
