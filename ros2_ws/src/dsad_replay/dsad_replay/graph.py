"""The node graph of an evaluated run, described once and without ROS.

``launch/replay.launch.py`` turns it into launch_ros actions, ``dsad up`` into plain processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsad_bringup.graph import (
    Graph,
    NodeSpec,
    absolute_path,
    builder_node,
    checked_engine,
    checked_namespace,
    chosen,
    detector_node,
    existing_path,
    if_given,
    make_node,
    read_file,
    shared_settings,
)
from dsad_common import topics
from dsad_core.addresses import without_credentials
from dsad_core.errors import BagError, UsageError
from dsad_metrics import ros2_bag
from dsad_replay.arguments import ARGUMENTS, parse_replay_arguments
from dsad_source.routes import COMPRESSED_IMAGE, IMAGE, plan_routes
from dsad_tools.bags.read import BagReader

#: Sources of frames, by the executable of dsad_source that publishes them.
EXECUTABLES = {
    "bag": "bag_replay",
    "camera": "frame_source",
    "dataset": "frame_source",
    "folder": "frame_source",
    "synthetic": "frame_source",
    "video": "frame_source",
}


@dataclass(frozen=True)
class ReplayGraph(Graph):
    """Everything a run starts: the source first, metrics last.

    Args:
        source: the node that publishes frames; None where the user's own driver does.
        source_ends: whether that one comes to an end by itself, which then ends the run.
        output: folder for the report and logs, or None.
    """

    source: NodeSpec | None = None
    source_ends: bool = False
    output: Path | None = None

    @property
    def waiter(self) -> NodeSpec:
        """A node that lives from the end of the source until its last frames are answered and scored."""
        return NodeSpec("dsad_replay", "await_answers", "await_answers", self.namespace)


def build_replay_graph(given: Mapping[str, str], share: Path) -> ReplayGraph:
    """The graph for some arguments, checked as far as can be before anything starts.

    Args:
        given: argument texts by name; those absent take their defaults.
        share: installed share folder of dsad_bringup.

    Raises:
        UsageError: a bad argument, or arguments that contradict each other.
        PlatformError: this machine lacks what the platform needs.
        EngineError: there is no such engine, or it does not agree with its manifest.
    """
    values = parse_replay_arguments(given)
    values["namespace"] = "/" + checked_namespace(values["namespace"]).lstrip("/")
    settings = shared_settings(values, share)
    read_file(values, settings["params_file"])
    engine = checked_engine(values, _role(values["source"]))
    if values["build_only"]:
        builder = builder_node(values, engine)
        return ReplayGraph(nodes=(builder,), builder=builder, **settings)
    output = absolute_path(values["output"])
    counters = [_metrics(values, output)]
    if values["record"]:
        counters.insert(0, _recorder(values))
    # Each waits for those it sends to, from the end of the chain to its beginning, so that even the
    # first frame is answered and scored.
    detector = detector_node(values, engine, [_listening(node) for node in counters])
    detector = _answering_all(values, detector)
    # There is nobody to give it another engine.
    detector = replace(detector, parameters={**detector.parameters, "exit_when_refused": True})
    listeners = [detector, *counters]
    source = _source(values, [_listening(node) for node in listeners], values["namespace"])
    return ReplayGraph(
        nodes=(source, *listeners) if source else tuple(listeners),
        **settings,
        source=source,
        source_ends=source is not None and _ends(values),
        output=output,
    )


def laboratory_nodes(given: Mapping[str, str], detector: Mapping[str, Any], outer: str) -> list[NodeSpec]:
    """Source and metrics that detector.launch.py starts beside the detector; nothing waits for them.

    Args:
        given: argument texts of that launch.
        detector: its parsed arguments.
        outer: namespace that an including launch has pushed.
    """
    known = {argument.name for argument in ARGUMENTS}
    values = parse_replay_arguments({name: text for name, text in given.items() if name in known})
    values |= {"namespace": detector["namespace"], "file": detector["file"]}
    nodes = [_metrics(values, absolute_path(values["output"]))] if detector["metrics"] else []
    inside = detector["namespace"]
    full = inside if inside.startswith("/") else f"/{outer.strip('/')}/{inside}".replace("//", "/")
    source = _source(values, [], full)
    return [source, *nodes] if source else nodes


def _answering_all(values: Mapping[str, Any], detector: NodeSpec) -> NodeSpec:
    """The detector answers every frame, as ``dsad evaluate`` does; stills in a row can look like a correction."""
    if "frame_monitor" in values["file"]:
        return detector
    return replace(detector, parameters={**detector.parameters, "frame_monitor": "mark"})


def _role(source: str) -> str:
    """What the engine is for: all but the stills of a data set are a camera's frames, or resemble them."""
    return "default" if source == "dataset" else "camera"


def _source(values: Mapping[str, Any], listeners: list[str], namespace: str) -> NodeSpec | None:
    kind = values["source"]
    place = _place_of_source(values)
    if kind == "none":
        return None
    if kind == "camera" and values["lock_step"]:
        raise UsageError("lock_step:=true: a camera's frames cannot wait; record a bag and replay that")
    parameters = {"limit": values["limit"], "lock_step": values["lock_step"]}
    if listeners:
        parameters["wait_for"] = listeners
    parameters |= {"loop": values["loop"], "exit_when_done": True} | if_given(values, "rate")
    if kind == "bag":
        # The replay is what publishes /clock, so it alone must not wait for it.
        parameters |= {"bag": place, "clock": bool(values["use_sim_time"]), "use_sim_time": False}
        if values["image_topic"] == topics.IMAGE_RAW:
            parameters["image_topic"] = _frames_of_bag(place, namespace)
        else:
            _require_topic(place, values["image_topic"], namespace)
    else:
        parameters |= {"source": kind} | if_given(values, "use_sim_time")
        if place:
            parameters["device" if kind == "camera" else "path"] = place
    return make_node(values, "dsad_source", EXECUTABLES[kind], "source", parameters, ends=_ends(values))


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


def _require_topic(bag: str, topic: str, namespace: str) -> None:
    """Refuse a bag that lacks the topic of frames that ``image_topic`` names.

    Raises:
        UsageError: it has no such topic, or one of another type.
        BagError: the bag cannot be read.
    """
    name = topic if topic.startswith("/") else f"{namespace.rstrip('/')}/{topic}"
    images = [each.name for each in BagReader(bag).topics() if each.type in (IMAGE, COMPRESSED_IMAGE)]
    if name not in images:
        held = ", ".join(images) or "none"
        raise UsageError(f"image_topic:={topic}: {bag} has no images there; its topics of images: {held}")


def _ends(values: Mapping[str, Any]) -> bool:
    """Whether the source comes to an end by itself."""
    endless = values["loop"] or values["source"] in ("camera", "synthetic", "none")
    return values["limit"] > 0 if endless else True


def _listening(node: NodeSpec) -> str:
    """The name under which a node subscribes, relative to the namespace."""
    return ros2_bag.NODE if node.executable == "recorder" and ros2_bag.installed() else node.name


def _metrics(values: Mapping[str, Any], output: Path | None) -> NodeSpec:
    parameters = {
        "matching": values["matching"],
        "output_dir": str(output or ""),
        "target": chosen(values, "target", "cpu"),
        "source": without_credentials(f"{values['source']} {_place_of_source(values)}".strip()),
    } | if_given(values, "use_sim_time")
    node = make_node(values, "dsad_metrics", "metrics", "metrics", parameters, stop_seconds=60.0)
    return replace(node, only_listens=True)


def _recorder(values: Mapping[str, Any]) -> NodeSpec:
    bag = absolute_path(values["record"])
    if bag.exists():
        raise UsageError(f"record:={values['record']}: exists already; name a new folder or remove it")
    parameters = {"bag": str(bag), "topics": list(topics.RECORDED)}
    node = make_node(values, "dsad_metrics", "recorder", "recorder", parameters, stop_seconds=60.0)
    return replace(node, only_listens=True)


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
        return str(existing_path("bag", bag))
    if kind in ("folder", "video", "dataset"):
        if not path:
            raise UsageError(f"source:={kind} needs path:=<where it is>")
        return str(existing_path("path", path))
    return path or ""
