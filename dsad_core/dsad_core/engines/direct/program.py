"""``model.direct``: the fused graph of an engine, so that a robot neither reads ONNX nor fuses.

The file is JSON and holds operators. Weights stay in ``model.onnx``; the file names each array by its place
among that file's bytes. One model always gives one file, byte for byte.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from dsad_core.engines.direct.graph import SPATIAL_SHAPES, Graph, Map, Node, map_of
from dsad_core.engines.direct.quantise import quantise, ranged_maps
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, PROGRAM_FILE
from dsad_core.errors import EngineError, UnsupportedModelError, one_line
from dsad_core.files import sha256_file

#: Of the file, and of the operators that ``fuse`` writes into it.
FORMAT = 1


def make_program(model: Path, ranges: dict[str, np.ndarray] | None = None) -> str:
    """The content of ``model.direct`` for an ONNX file.

    Args:
        ranges: the program runs on 8-bit integers by these, see ``quantise``; None: in float32.

    Raises:
        EngineError: not an ONNX file, or one that contradicts itself.
        UnsupportedModelError: the kernels lack something that the model needs.
    """
    from dsad_core.engines.direct.fuse import fuse
    from dsad_core.engines.direct.reader import read_graph

    graph, content = fuse(read_graph(model)), model.read_bytes()
    program = {
        "format": FORMAT,
        "model_sha256": sha256_file(model),
        "channels": graph.maps[INPUT_NAME].channels,
        "constants": {name: numbers.tolist() for name, numbers in graph.constants.items()},
        "nodes": [
            [node.op, node.inputs, node.outputs, _encode(node.attributes, content)] for node in graph.nodes
        ],
    }
    if ranges is not None:
        quantise(graph, ranges)  # refuses what would not load
        program["ranges"] = {name: ranges[name].tolist() for name in ranged_maps(graph)}
    # One operator a line, for people who compare two files.
    return (
        json.dumps(program, separators=(",", ":"), sort_keys=True)
        .replace('},["', '},\n["')
        .replace("}],[", "}],\n[")
        + "\n"
    )


def kept_ranges(folder: Path) -> dict[str, np.ndarray] | None:
    """The ranges in ``folder/model.direct``; None where it is in float32, or not there."""
    try:
        found = json.loads((folder / PROGRAM_FILE).read_text(encoding="utf-8")).get("ranges")
    except (OSError, ValueError, AttributeError):
        return None
    return None if found is None else {name: np.array(tops, np.float32) for name, tops in found.items()}


def read_program(folder: Path, model_sha256: str) -> Graph:
    """The graph that ``folder/model.direct`` holds.

    Args:
        model_sha256: of the ``model.onnx`` beside it.

    Raises:
        EngineError: the file is damaged, or was made from another model.
        UnsupportedModelError: the file is of another version of dsad_core.
    """
    path = folder / PROGRAM_FILE
    again = f"make it again with `python -m dsad_core.engines.direct {folder}`"
    try:
        text, model = path.read_text(encoding="utf-8"), (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise EngineError(
            f"{error.filename}: cannot be read ({one_line(error)}); the engine is incomplete"
        ) from error
    try:
        program = json.loads(text)
        version, made_from = program["format"], program["model_sha256"]
        if version == FORMAT and made_from == model_sha256:
            graph = _graph(program, model)
            ranges = program.get("ranges")
            return graph if ranges is None else quantise(graph, ranges)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, EngineError) as error:
        raise EngineError(f"{path}: damaged ({type(error).__name__}: {one_line(error)}); {again}") from error
    if version != FORMAT:
        raise UnsupportedModelError(f"{path}: of format {version}, not {FORMAT}; {again}")
    raise EngineError(f"{path}: made from another {MODEL_FILE}; {again}")


def _graph(program: dict[str, Any], model: bytes) -> Graph:
    constants = {name: np.array(numbers, np.float32) for name, numbers in program["constants"].items()}
    maps = {name: Map(len(numbers), pooled=True) for name, numbers in constants.items()}
    maps[INPUT_NAME] = Map(program["channels"])
    nodes = [
        Node(op, inputs, outputs, _decode(attributes, model))
        for op, inputs, outputs, attributes in program["nodes"]
    ]
    for node in nodes:
        maps.update(zip(node.outputs, _maps_of(node, [maps[name] for name in node.inputs]), strict=True))
    _require(maps[OUTPUT_NAME] == Map(1), f"{OUTPUT_NAME} is {maps[OUTPUT_NAME]}")
    return Graph(nodes, maps, constants)


def _maps_of(node: Node, maps: list[Map]) -> list[Map]:
    """The maps that a fused operator makes. The kernels trust what they are given, so all of it is checked."""
    attributes, name = node.attributes, f"{node.op} {node.output}"
    if node.op == "Conv":
        made = [_convolved(maps[0], attributes, name)]
        _require(maps[1:] in ([], made), f"{name} adds another map")
        if "gate" in attributes:
            channels, hidden = made[0].channels, len(attributes["gate"][1])
            sizes = [array.size for array in attributes["gate"]]
            _require(
                sizes == [hidden * channels, hidden, channels * hidden, channels], f"{name}: gate of {sizes}"
            )
            made.append(Map(channels, pooled=True))
        elif "shortcut" in attributes:
            shortcut = attributes["shortcut"]
            made.append(_convolved(maps[0], shortcut, name))
            _require(shortcut["weights"].shape[2:] == (1, 1), f"{name}: shortcut {shortcut['weights'].shape}")
        return made
    if node.op == "Channels":
        _require(maps[1:] == [Map(maps[0].channels, pooled=True)], f"{name}: gate {maps[1:]}")
        return [Map(1), Map(1)]
    if node.op == "Attend":
        mapped, gate, *pair, shortcut = maps
        spatial, project = attributes["spatial"], attributes["shortcut"]
        least = "edge" in spatial
        _convolved(Map(2), spatial, name)
        _require(gate == Map(mapped.channels, pooled=True) and pair == [Map(1)] * 2, f"{name}: {maps}")
        _require(
            spatial["weights"].shape in SPATIAL_SHAPES[least] and spatial["dilation"] == 1,
            f"{name}: attention",
        )
        _require(
            (_convolved(shortcut, project, name) if project else shortcut) == mapped, f"{name}: shortcut"
        )
        return [mapped]
    return [map_of(node.op, maps, attributes)]


def _convolved(source: Map, conv: dict[str, Any], name: str) -> Map:
    weights, bias = conv["weights"], conv["bias"]
    square = weights.ndim == 4 and weights.shape[2:] in ((1, 1), (3, 3), (5, 5), (7, 7))
    _require(square and bias.shape == weights.shape[:1] and conv["dilation"] >= 1, f"{name}: {weights.shape}")
    return map_of("Conv", [source], conv)


def _require(fits: bool, otherwise: str) -> None:
    if not fits:
        raise ValueError(otherwise)


def _encode(value: Any, model: bytes) -> Any:
    """Attributes as JSON; an array as its shape, and its place in the model unless it is all zeros."""
    if isinstance(value, np.ndarray):
        place = model.find(np.ascontiguousarray(value).tobytes()) if value.any() else -1
        if place >= 0:
            return {"shape": value.shape, "at": place}
        return {"shape": value.shape, **({"numbers": value.ravel().tolist()} if value.any() else {})}
    if isinstance(value, dict):
        return {key: _encode(inner, model) for key, inner in value.items()}
    return [_encode(inner, model) for inner in value] if isinstance(value, tuple) else value


def _decode(value: Any, model: bytes) -> Any:
    if isinstance(value, list):
        return tuple(_decode(inner, model) for inner in value)
    if not isinstance(value, dict):
        return value
    if "shape" not in value:
        return {key: _decode(inner, model) for key, inner in value.items()}
    shape = value["shape"]
    if "at" in value:
        # A copy, because a place in a file need not be a multiple of four.
        return np.frombuffer(model, np.float32, int(np.prod(shape)), value["at"]).reshape(shape).copy()
    return (
        np.array(value["numbers"], np.float32).reshape(shape)
        if "numbers" in value
        else np.zeros(shape, np.float32)
    )
