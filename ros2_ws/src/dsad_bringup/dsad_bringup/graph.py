"""The node graph of a run, described once and without ROS.

``launch/detector.launch.py`` turns it into launch_ros actions, ``dsad up`` into plain processes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsad_core.bags.read import BagReader
from dsad_core.engines.backends import require_target
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import load_manifest
from dsad_core.errors import BagError, UsageError
from dsad_source.routes import plan_routes

from dsad_bringup.arguments import parse_arguments

#: Sources of frames, by the executable of dsad_source that publishes them.
EXECUTABLES = {
    "bag": "bag_replay",
    "camera": "frame_source",
    "dataset": "frame_source",
    "folder": "frame_source",
    "synthetic": "frame_source",
    "video": "frame_source",
}
#: What the recorder writes to the bag, relative to the namespace.
RECORDED = (
    "image_raw",
    "camera_info",
    "ground_truth",
    "ground_truth_targets",
    "mask",
    "targets",
    "timing",
    "metrics",
)
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


@dataclass(frozen=True)
class NodeSpec:
    """One node: one process.

    Args:
        package, executable: where its program is installed.
        name, namespace: its full name is the two joined by ``/``.
        parameters: set over those of the parameter file.
        remappings: (from, to) topic names.
        stop_seconds: how long it may take to finish after SIGINT, such as to write its report.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    stop_seconds: float = 10.0

    @property
    def full_name(self) -> str:
        """Fully qualified node name."""
        return f"{self.namespace.rstrip('/')}/{self.name}"


@dataclass(frozen=True)
class Graph:
    """Everything a run starts.

    Args:
        nodes: in the order in which they are told to stop: the source first, metrics last.
        environment: variables to set for every node.
        params_file: node parameters that the arguments do not set.
        namespace: of every node and topic.
        log_level: of every node.
        source: the node that publishes frames; None where the user's own driver does.
        builder: the node that builds the engine, alone, where nothing else is to run.
        source_ends: whether that one comes to an end by itself, which then ends the run.
        autostart: whether the detector configures and activates itself.
        output: folder for the report and logs, or None.
    """

    nodes: tuple[NodeSpec, ...]
    environment: Mapping[str, str]
    params_file: Path
    namespace: str
    log_level: str
    source: NodeSpec | None = None
    builder: NodeSpec | None = None
    source_ends: bool = False
    autostart: bool = True
    output: Path | None = None

    @property
    def waiter(self) -> NodeSpec:
        """A node that lives from the end of the source until its last frames are answered and scored."""
        return NodeSpec("dsad_bringup", "await_answers", "await_answers", self.namespace)


def build_graph(given: Mapping[str, str], share: Path) -> Graph:
    """The graph for some arguments, checked as far as can be before anything starts.

    Args:
        given: argument texts by name; those absent take their defaults.
        share: installed share folder of dsad_bringup.

    Raises:
        UsageError: a bad argument, or arguments that contradict each other.
        TargetError: this machine cannot run the target.
        EngineError: there is no such engine, or it does not agree with its manifest.
    """
    values = parse_arguments(given)
    values["namespace"] = _namespace(values["namespace"])
    params_file = _existing("params_file", values["params_file"]) or share / "config" / "params.yaml"
    require_target(values["target"], values["backend"])
    engine = find_engine(values["engine"] or _role(values["source"]))
    load_manifest(engine)

    shared = {
        "environment": dds_profile(share),
        "params_file": params_file,
        "namespace": values["namespace"],
        "log_level": values["log_level"],
    }
    if values["build_only"]:
        builder = _engine_builder(values, engine)
        return Graph(nodes=(builder,), builder=builder, **shared)
    output = _absolute(values["output"])
    counters = [_metrics(values, output)]
    if values["record"]:
        counters.insert(0, _recorder(values))
    # Each waits for those it sends to, from the end of the chain to its beginning, so that even the
    # first frame is answered and scored.
    detector = _detector(values, engine, [node.name for node in counters])
    listeners = [detector, *counters]
    source = _source(values, [node.name for node in listeners])
    return Graph(
        nodes=(source, *listeners) if source else tuple(listeners),
        **shared,
        source=source,
        source_ends=source is not None and _ends(values),
        autostart=values["autostart"],
        output=output,
    )


def _role(source: str) -> str:
    """What the engine is for: all but the stills of a data set are a camera's frames, or resemble them."""
    return "default" if source == "dataset" else "camera"


def dds_profile(share: Path) -> dict[str, str]:
    """Fast DDS up to 2.14 reads the first variable, 3 the second; a profile of the user's wins."""
    if any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        return {}
    return dict.fromkeys(PROFILE_VARIABLES, str(share / "config" / "fastdds.xml"))


def _source(values: Mapping[str, Any], listeners: list[str]) -> NodeSpec | None:
    kind = values["source"]
    place = _place_of_source(values)
    if kind == "none":
        return None
    if kind == "camera" and values["lock_step"]:
        raise UsageError("lock_step:=true: a camera's frames cannot wait; record a bag and replay that")
    parameters = {"limit": values["limit"], "lock_step": values["lock_step"], "wait_for": listeners}
    parameters |= {"loop": values["loop"], "exit_when_done": True} | _given(values, "rate")
    if kind == "bag":
        # The replay is what publishes /clock, so it alone must not wait for it.
        parameters |= {"bag": place, "clock": values["use_sim_time"], "use_sim_time": False}
        if values["image_topic"] == "image_raw":
            parameters["image_topic"] = _frames_of_bag(place, values["namespace"])
    else:
        parameters |= {"source": kind, "use_sim_time": values["use_sim_time"]}
        if place:
            parameters["device" if kind == "camera" else "path"] = place
    return _node(values, "dsad_source", EXECUTABLES[kind], "source", parameters)


def _frames_of_bag(bag: str, namespace: str) -> str:
    """The bag's topic of frames, which the replay then sends as the graph's ``image_raw``.

    Raises:
        BagError: the bag cannot be read, or has no topic of frames or several.
    """
    topics = {topic.name: topic.type for topic in BagReader(bag).topics()}
    try:
        routes = plan_routes(topics, "", f"{namespace.rstrip('/')}/image_raw", [])
    except BagError as error:
        raise BagError(f"{bag}: {error}") from None
    return next(route.topic for route in routes if route.frames)


def _ends(values: Mapping[str, Any]) -> bool:
    """Whether the source comes to an end by itself."""
    endless = values["loop"] or values["source"] in ("camera", "synthetic", "none")
    return values["limit"] > 0 if endless else True


def _detector(values: Mapping[str, Any], engine: Path, listeners: list[str]) -> NodeSpec:
    threshold = values["threshold"]
    if threshold is not None and not 0.0 < threshold < 1.0:
        raise UsageError(f"threshold:={threshold:g}: must lie between 0 and 1, both excluded")
    parameters = _engine(values, engine) | {
        "autostart": values["autostart"],
        "wait_for": listeners,
        "use_sim_time": values["use_sim_time"],
    }
    return _node(values, "dsad_detector", "detector", "detector", parameters | _given(values, "threshold"))


def _engine_builder(values: Mapping[str, Any], engine: Path) -> NodeSpec:
    # The detector's name, for its parameters of the file.
    return _node(values, "dsad_detector", "build_engine", "detector", _engine(values, engine))


def _engine(values: Mapping[str, Any], engine: Path) -> dict[str, Any]:
    return {"engine": str(engine), "target": values["target"]} | _given(values, "backend")


def _metrics(values: Mapping[str, Any], output: Path | None) -> NodeSpec:
    parameters = {
        "matching": values["matching"],
        "output_dir": str(output or ""),
        "target": values["target"],
        "source": f"{values['source']} {_place_of_source(values)}".strip(),
        "use_sim_time": values["use_sim_time"],
    }
    return _node(values, "dsad_metrics", "metrics", "metrics", parameters, stop_seconds=60.0)


def _recorder(values: Mapping[str, Any]) -> NodeSpec:
    bag = _absolute(values["record"])
    if bag.exists():
        raise UsageError(f"record:={values['record']}: exists already; name a new folder or remove it")
    parameters = {"bag": str(bag), "topics": list(RECORDED)}
    return _node(values, "dsad_metrics", "recorder", "recorder", parameters, stop_seconds=60.0)


def _node(
    values: Mapping[str, Any],
    package: str,
    executable: str,
    name: str,
    parameters: Mapping[str, Any],
    stop_seconds: float = 10.0,
) -> NodeSpec:
    remappings = tuple(
        (topic, values[argument])
        for topic, argument in (("image_raw", "image_topic"), ("camera_info", "camera_info_topic"))
        if values[argument] != topic
    )
    return NodeSpec(package, executable, name, values["namespace"], parameters, remappings, stop_seconds)


def _place_of_source(values: Mapping[str, Any]) -> str:
    """Path, device or pipeline of the source as the node takes it; empty where it needs none."""
    kind, path, bag = values["source"], values["path"], values["bag"]
    if bag and kind != "bag":
        raise UsageError(f"bag:={bag} goes with source:=bag, not with source:={kind}")
    if path and kind in ("bag", "synthetic", "none"):
        raise UsageError(f"path:={path} does not go with source:={kind}")
    if kind == "bag":
        if not bag:
            raise UsageError("source:=bag needs bag:=<rosbag2 folder>")
        return str(_existing("bag", bag))
    if kind in ("folder", "video", "dataset"):
        if not path:
            raise UsageError(f"source:={kind} needs path:=<where it is>")
        return str(_existing("path", path))
    return path or ""


def _given(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {} if values[name] is None else {name: values[name]}


def _namespace(text: str) -> str:
    segments = text.strip("/").split("/") if text.strip("/") else []
    if not all(segment.isidentifier() and segment.isascii() for segment in segments):
        raise UsageError(f"namespace:={text}: letters, digits and _ only, parts joined by /")
    return "/" + "/".join(segments)


def _absolute(path: str | None) -> Path | None:
    return Path(path).expanduser().resolve() if path else None


def _existing(argument: str, path: str | None) -> Path | None:
    absolute = _absolute(path)
    if absolute is not None and not absolute.exists():
        raise UsageError(f"{argument}:={path}: no such file or folder ({absolute})")
    return absolute
