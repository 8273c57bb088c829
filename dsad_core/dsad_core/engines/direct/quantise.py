"""8-bit integers in place of floats where the kernels multiply fastest in them.

The 3x3 convolutions that read what a ReLU left run on bytes; the first block, attention and what gives the logits
stay float32. Each channel has a step of its own, its largest value on calibration frames over 255. A convolution's
weights take the steps of what it reads, then have a scale for each output.
"""

from dataclasses import replace

import numpy as np

from dsad_core.engines.direct.graph import Graph, Map, Node, unsupported
from dsad_core.engines.manifest import OUTPUT_NAME

#: Channels in a plane of bytes.
PACKED = 4
#: The largest byte, and the largest weight.
_MOST, _MOST_WEIGHT = 255, 127


def ranged_maps(graph: Graph) -> list[str]:
    """Maps of a fused graph that would be bytes and that an operator computes: they need a range."""
    maps, _ = _bytes(graph)
    return [node.output for node in graph.nodes if node.output in maps and node.op in ("Conv", "Attend")]


def quantise(graph: Graph, ranges: dict[str, np.ndarray]) -> Graph:
    """The fused graph on bytes. It adds:

    - ConvBytes: Conv, 3x3, of a map in bytes, with ``levels``, the steps of what it reads; with ``made``, those of
      its output, which is then in bytes, too;
    - Attend's ``made``, and ``levels`` of a shortcut in bytes; MaxPool's ``bytes``;
    - Floats: a map in bytes as floats, by ``levels``.

    Args:
        ranges: (C,) largest values by map, for `ranged_maps`.

    Raises:
        UnsupportedModelError: a range is missing, is none, or nothing in the graph can run on bytes.
    """
    maps, convs = _bytes(graph)
    if not convs:
        raise unsupported("8-bit integers: no 3x3 convolution reads what a ReLU left")
    makers = {node.output: node for node in graph.nodes}
    steps: dict[str, np.ndarray] = {}
    for name in ranged_maps(graph):
        top = np.asarray(ranges.get(name, ()), np.float32)
        if top.shape != (graph.maps[name].channels,) or not np.isfinite(top).all() or (top < 0).any():
            raise unsupported(f"8-bit integers: no range of {graph.maps[name].channels} channels for {name}")
        steps[name] = np.maximum(top, np.float32(1e-6)) / np.float32(_MOST)

    def steps_of(name: str) -> np.ndarray:
        if name not in steps:
            steps[name] = np.concatenate([steps_of(source) for source in makers[name].inputs])
        return steps[name]

    nodes: list[Node] = []
    graph_maps = dict(graph.maps)

    def as_floats(name: str) -> str:
        made = f"{name}/floats"
        if made not in graph_maps:
            if makers[name].op not in ("Attend", "Conv", "MaxPool"):
                raise unsupported(f"8-bit integers: {makers[name].op} {name} is read as floats")
            graph_maps[made] = graph.maps[name]
            nodes.append(Node("Floats", [name], [made], {"levels": steps_of(name)}))
        return made

    projected = _projected(graph, maps, convs)
    for node in graph.nodes:
        attributes, inputs, outputs = dict(node.attributes), list(node.inputs), list(node.outputs)
        if node in convs:
            attributes["levels"] = steps_of(inputs[0])
            if node.output in maps:
                attributes["made"] = steps[node.output]
            if node in projected:
                attend = projected[node]
                attributes["shortcut"] = attend.attributes["shortcut"]
                outputs.append(f"{attend.output}/shortcut")
                graph_maps[outputs[1]] = Map(graph.maps[attend.output].channels)
            nodes.append(Node("ConvBytes", inputs, outputs, attributes))
            continue
        if node.op == "Attend":
            if node in projected.values():
                attributes["shortcut"], inputs[4] = None, f"{node.output}/shortcut"
            elif inputs[4] in maps and attributes["shortcut"] is None:
                attributes["levels"] = steps_of(inputs[4])
            elif inputs[4] in maps:
                inputs[4] = as_floats(inputs[4])
            if node.output in maps:
                attributes["made"] = steps[node.output]
        elif node.op == "MaxPool" and node.output in maps:
            attributes["bytes"] = True
        elif node.output not in maps:
            inputs = [as_floats(name) if name in maps else name for name in inputs]
        nodes.append(Node(node.op, inputs, outputs, attributes))
    return replace(graph, nodes=nodes, maps=graph_maps)


def weights_of(conv: dict, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (O,I,k,k) int8 of a convolution that reads bytes, and the scale (O,) of each output's sums."""
    scaled = conv["weights"] * levels[None, :, None, None]
    scales = np.maximum(np.abs(scaled).max((1, 2, 3)), np.float32(1e-12)) / np.float32(_MOST_WEIGHT)
    return np.rint(scaled / scales[:, None, None, None]).astype(np.int8), scales


def _bytes(graph: Graph) -> tuple[set[str], list[Node]]:
    """Maps that would be bytes, and the convolutions that read them."""
    makers = {node.output: node for node in graph.nodes}
    convs: list[Node] = []

    def fits(name: str) -> bool:
        maker = makers.get(name)
        if maker is None or graph.maps[name].channels % PACKED or name == OUTPUT_NAME:
            return False
        if maker.op in ("Concat", "MaxPool", "Resize"):
            whole = maker.op != "MaxPool" or (maker.attributes["size"] == 2 and not maker.attributes["ceil"])
            return whole and all(map(fits, maker.inputs))
        return maker.op == "Attend" or (maker in convs and "relu" in maker.attributes)

    for node in graph.nodes:  # in the order in which they run
        if node.op != "Conv" or len(node.inputs) != 1 or node.attributes["dilation"] != 1:
            continue
        outputs, _, *size = node.attributes["weights"].shape
        ends = len({"relu", "gate"} & node.attributes.keys()) == 1
        if size == [3, 3] and outputs % PACKED == 0 and ends and fits(node.inputs[0]):
            convs.append(node)
    read: set[str] = set()

    def mark(name: str) -> None:
        if name not in read:
            read.add(name)
            if makers[name].op in ("Concat", "MaxPool", "Resize"):
                for source in makers[name].inputs:
                    mark(source)

    for conv in convs:
        mark(conv.inputs[0])
    return read, convs


def _projected(graph: Graph, maps: set[str], convs: list[Node]) -> dict[Node, Node]:
    """The first convolutions of blocks that make the shortcut in the same pass, with the blocks' last operator."""
    makers = {node.output: node for node in graph.nodes}
    found: dict[Node, Node] = {}
    for attend in graph.nodes:
        if attend.op != "Attend" or not attend.attributes["shortcut"] or attend.inputs[4] not in maps:
            continue
        first = makers.get(makers[attend.inputs[0]].inputs[0])
        square = attend.attributes["shortcut"]["weights"].shape[2:] == (1, 1)
        if first in convs and square and first.inputs == [attend.inputs[4]] and len(first.outputs) == 1:
            found[first] = attend
    return found
