"""Fuse what the kernels do in one pass: convolutions with what follows, and attention."""

from collections import Counter

import numpy as np

from dsad_core.engines.direct.graph import SPATIAL_SHAPES, Graph, Node, unsupported
from dsad_core.engines.manifest import OUTPUT_NAME


class _NoMatch(Exception):
    """The graph is not the pattern here."""


def fuse(graph: Graph) -> Graph:
    """The same graph in fewer operators. It adds:

    - Conv, attributes ``relu``, ``gate`` and ``shortcut``, a second operand that is added, and a second output.
      With ``gate`` that is the factors of channel attention, sigmoid(MLP(mean) + MLP(maximum)), ``gate`` being
      the two layers' weights and biases; with ``shortcut``, another convolution by 1x1 of the same input;
    - Channels (map, gate) -> mean and maximum over channels of map * gate;
    - Attend (map, gate, mean, maximum, shortcut) -> relu(map * gate * sigmoid(spatial(mean, maximum)) +
      shortcut), ``spatial`` being a convolution to one map (CBAM), or to the responses along four axes with
      the border repeated beyond it, of which the least square counts (DSA); ``shortcut`` None or a
      convolution of the shortcut.

    Raises:
        UnsupportedModelError: a minimum over channels or a repeated border is left, which only DSA has.
    """
    fuser = _Fuser(graph)
    fuser.each("Relu", fuser.conv_relu)
    fuser.each("Relu", fuser.attention)
    fuser.each("Add", fuser.conv_add)
    fuser.each("Relu", fuser.conv_relu)
    for node in fuser.nodes:
        if node.op == "ChannelMin" or "edge" in node.attributes:
            left = "Pad" if "edge" in node.attributes else "ReduceMin"
            raise unsupported(f"{left} but in directional attention")
    return Graph(fuser.nodes, graph.maps, graph.constants)


class _Fuser:
    def __init__(self, graph: Graph):
        self.graph = graph
        self.nodes = list(graph.nodes)

    def each(self, op: str, rewrite) -> None:
        for node in [node for node in self.nodes if node.op == op]:
            self.makers = {name: maker for maker in self.nodes for name in maker.outputs}
            self.uses = Counter(name for user in self.nodes for name in user.inputs)
            self.uses[OUTPUT_NAME] += 1
            try:
                old, new = rewrite(node)
            except _NoMatch:
                continue
            # In the last one's place: all that the new ones need is computed before it.
            place = max(index for index, other in enumerate(self.nodes) if other in old)
            self.nodes[place : place + 1] = new
            self.nodes = [other for other in self.nodes if other not in old]

    def find(self, name: str, op: str, uses: int = 1) -> Node:
        """The maker of a map, if it is that operator and no one else needs the map."""
        node = self.makers.get(name)
        if node is None or node.op != op or self.uses[name] != uses:
            raise _NoMatch
        return node

    def conv_relu(self, relu: Node) -> tuple[list[Node], list[Node]]:
        conv = self.find(relu.inputs[0], "Conv")
        if "relu" in conv.attributes or "gate" in conv.attributes:
            raise _NoMatch
        return [conv, relu], [Node("Conv", conv.inputs, relu.outputs, {**conv.attributes, "relu": True})]

    def conv_add(self, add: Node) -> tuple[list[Node], list[Node]]:
        for mine, other in (add.inputs, add.inputs[::-1]):
            maker = self.makers.get(mine)
            if (
                maker is not None
                and maker.op == "Conv"
                and self.uses[mine] == 1
                and len(maker.inputs) == 1
                and not {"relu", "gate"} & maker.attributes.keys()
                and self.graph.maps[mine] == self.graph.maps[other]
            ):
                return [maker, add], [Node("Conv", [*maker.inputs, other], add.outputs, maker.attributes)]
        raise _NoMatch

    def attention(self, relu: Node) -> tuple[list[Node], list[Node]]:
        add = self.find(relu.inputs[0], "Add")
        for weighed, shortcut in (add.inputs, add.inputs[::-1]):
            try:
                last = self.find(weighed, "Mul")
                sigmoid, gated = self._either(last, "Sigmoid")
                spatial, least = self._spatial(sigmoid.inputs[0])
                pair = self.find(spatial.inputs[0], "Concat")
                mean, most = (
                    self.find(name, op) for name, op in zip(pair.inputs, ("ChannelMean", "ChannelMax"))
                )
                product = self.find(gated, "Mul", 3)
                gate, mapped = self._either(product, "Sigmoid")
                conv = self.find(mapped, "Conv", 3)
                gate_nodes, weights = self._gate(gate, mapped)
            except _NoMatch:
                continue
            maps = self.graph.maps
            if (
                mean.inputs[0] != gated
                or most.inputs[0] != gated
                or len(pair.inputs) != 2
                or maps[mapped].pooled
                or maps[shortcut] != maps[mapped]
                or maps[gate.output].channels != maps[mapped].channels
                or len(conv.inputs) != 1
                or {"relu", "gate"} & conv.attributes.keys()
                or "relu" in spatial.attributes
                or spatial.attributes["dilation"] != 1
                or spatial.attributes["weights"].shape not in SPATIAL_SHAPES[bool(least)]
            ):
                continue
            old = [
                conv,
                *gate_nodes,
                gate,
                product,
                mean,
                most,
                pair,
                spatial,
                *least,
                sigmoid,
                last,
                add,
                relu,
            ]
            project = self.makers.get(shortcut)
            if (
                project is not None
                and project.op == "Conv"
                and self.uses[shortcut] == 1
                and len(project.inputs) == 1
                and "relu" not in project.attributes
            ):
                old.append(project)
                shortcut = project.inputs[0]
            else:
                project = None
            before = self._first_of_block(conv, project)
            first: list[Node] = []
            if before is not None and project is not None:
                old.append(before)
                shortcut = project.output
                first = [
                    Node(
                        "Conv",
                        before.inputs,
                        [before.output, shortcut],
                        {**before.attributes, "shortcut": project.attributes},
                    )
                ]
                project = None
            return old, [
                *first,
                Node("Conv", conv.inputs, [mapped, gate.output], {**conv.attributes, "gate": weights}),
                Node("Channels", [mapped, gate.output], [mean.output, most.output]),
                Node(
                    "Attend",
                    [mapped, gate.output, mean.output, most.output, shortcut],
                    relu.outputs,
                    {"spatial": spatial.attributes, "shortcut": project and project.attributes},
                ),
            ]
        raise _NoMatch

    def _first_of_block(self, second: Node, project: Node | None) -> Node | None:
        """The convolution before the ``second``, where it should make the block's shortcut in the same pass.

        That saves reading the inputs a second time, and costs writing and reading the shortcut.
        """
        first = self.makers.get(second.inputs[0])
        if (
            project is not None
            and first is not None
            and first.op == "Conv"
            and first.inputs == project.inputs
            and self.uses[first.output] == 1
            and not {"gate", "shortcut"} & first.attributes.keys()
            and project.attributes["weights"].shape[1] >= 2 * len(project.attributes["weights"])
            and project.attributes["weights"].shape[2:] == (1, 1)
        ):
            return first
        return None

    def _spatial(self, name: str) -> tuple[Node, list[Node]]:
        """The convolution of spatial attention, and what DSA does with its maps."""
        maker = self.makers.get(name)
        if maker is None or maker.op != "ChannelMin":
            conv, least = self.find(name, "Conv"), []
        else:
            square = self.find(self.find(name, "ChannelMin").inputs[0], "Mul")
            if square.inputs[0] != square.inputs[1]:
                raise _NoMatch
            conv, least = self.find(square.inputs[0], "Conv", 2), [square, maker]
        if bool(least) != ("edge" in conv.attributes):
            raise _NoMatch
        return conv, least

    def _either(self, node: Node, op: str) -> tuple[Node, str]:
        """The operand that the operator made, whichever side it is on, and the other operand's name."""
        for mine, other in (node.inputs, node.inputs[::-1]):
            if mine in self.makers and self.makers[mine].op == op and self.uses[mine] == 1:
                return self.makers[mine], other
        raise _NoMatch

    def _gate(self, gate: Node, mapped: str) -> tuple[list[Node], tuple[np.ndarray, ...]]:
        add = self.find(gate.inputs[0], "Add")
        nodes, layers, pools = [add], [], set()
        for branch in add.inputs:
            second = self.find(branch, "Conv")
            first = self.find(second.inputs[0], "Conv")
            pool = self.makers.get(first.inputs[0])
            if (
                pool is None
                or pool.op not in ("GlobalMean", "GlobalMax")
                or pool.inputs != [mapped]
                or self.uses[pool.output] != 1
                or "relu" not in first.attributes
                or "relu" in second.attributes
                or len(first.inputs) + len(second.inputs) != 2
            ):
                raise _NoMatch
            weights = [layer.attributes[key] for layer in (first, second) for key in ("weights", "bias")]
            nodes += [second, first, pool]
            layers.append(weights)
            pools.add(pool.op)
        if len(pools) != 2 or any(array.shape[2:] not in ((), (1, 1)) for array in layers[0]):
            raise _NoMatch
        if not all(np.array_equal(mine, other) for mine, other in zip(*layers)):
            raise _NoMatch
        return nodes, tuple(layers[0])
