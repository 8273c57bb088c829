"""Read an ONNX file into a ``Graph``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dsad_core.engines.direct.graph import Graph, Map, Node, map_of, unsupported
from dsad_core.engines.direct.layouts import Layouts, each_number
from dsad_core.engines.direct.onnx_operators import READERS, settings
from dsad_core.engines.manifest import INPUT_NAME, OUTPUT_NAME, PROGRAM_FILE
from dsad_core.errors import EngineError, UnsupportedModelError, one_line

#: Shape arithmetic, which is folded, has a handful of numbers; anything larger is not that.
_FOLDED_NUMBERS = 64


def read_graph(path: Path) -> Graph:
    """Parse the file; operators that do not reach the output are dropped.

    Raises:
        EngineError: not an ONNX file, or one that contradicts itself.
        UnsupportedModelError: it needs an operator, or a form of one, that there is no kernel for; or the
            package ``onnx`` is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise UnsupportedModelError(
            f"{path.parent} has no {PROGRAM_FILE}, and reading {path.name} takes the package onnx: pip install onnx"
        ) from None
    try:
        model = onnx.load_model(str(path), load_external_data=False)
        return Reader(model.graph, onnx).read()
    except (EngineError, UnsupportedModelError):
        raise
    except Exception as error:  # protobuf's and numpy's errors share no other base
        raise EngineError(f"{path}: not a model that can be read ({one_line(error)})") from error


class Reader:
    """A graph on its way: nodes, maps and constants so far."""

    def __init__(self, graph: Any, onnx: Any):
        self.graph, self.onnx = graph, onnx
        self.arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.alias: dict[str, str] = {}
        self.maps: dict[str, Map] = {}
        #: Pooled maps one below the other, by the name of what holds them: each is computed for itself.
        self.stacks: dict[str, list[str]] = {}
        #: Maps whose border is repeated beyond it: what they were before, and by how many pixels.
        self.extended: dict[str, tuple[str, int]] = {}
        self.layouts = Layouts()

    def read(self) -> Graph:
        inputs = [value for value in self.graph.input if value.name not in self.arrays]
        outputs = [value.name for value in self.graph.output]
        if [value.name for value in inputs] != [INPUT_NAME] or outputs != [OUTPUT_NAME]:
            raise EngineError(
                f"the model has inputs {[value.name for value in inputs]} and outputs "
                f"{outputs}, an engine has ['{INPUT_NAME}'] and ['{OUTPUT_NAME}']"
            )
        tensor = inputs[0].type.tensor_type
        if tensor.elem_type != self.onnx.TensorProto.FLOAT or len(tensor.shape.dim) != 4:
            raise UnsupportedModelError("direct kernels take a model with one float32 image (1, C, H, W)")
        self.maps[INPUT_NAME] = Map(tensor.shape.dim[1].dim_value)
        for node in self.graph.node:
            self._read_node(node)
        if self._source(OUTPUT_NAME) not in self.maps:
            raise EngineError(f"nothing in the model computes its output {OUTPUT_NAME}")
        self._name_output()
        if self.maps[OUTPUT_NAME] != Map(1):
            raise EngineError(f"{OUTPUT_NAME} is {self.maps[OUTPUT_NAME]}, an engine's is one map")
        return Graph(_reachable(self.nodes), self.maps, self.constants)

    def _read_node(self, node: Any) -> None:
        values = {each.name: self.onnx.helper.get_attribute_value(each) for each in node.attribute}
        inputs = [self._source(name) for name in node.input]
        if node.domain not in ("", "ai.onnx"):
            raise unsupported(f"{node.domain}.{node.op_type}")
        for name in inputs:
            if name and not any(
                name in made for made in (self.maps, self.arrays, self.stacks, self.extended, self.layouts)
            ):
                raise EngineError(f"{node.op_type} {node.name}: nothing before it computes its input {name}")
        known = [self.arrays.get(name) if name else None for name in inputs]
        if all(value is not None or not name for name, value in zip(inputs, known)):
            self.arrays[node.output[0]] = self._fold(node.op_type, values, known)
            return
        reader = READERS.get(node.op_type)
        if reader is None or (node.op_type != "Conv" and any(name in self.extended for name in inputs)):
            raise unsupported(node.op_type if reader is None else f"{node.op_type} of a padded map")
        held = [name for name in inputs if name in self.layouts]
        if any(not self.layouts.accept(node.op_type, name) for name in held):
            raise unsupported(f"{node.op_type} of a map in another shape")
        if held and node.op_type in ("Relu", "Sigmoid"):
            each_number(node.op_type, self, inputs[0], node.output[0])
        elif not any(name in self.stacks for name in inputs):
            reader(self, inputs, known, values, node.output[0])
        elif node.op_type == "ReduceSum":
            self._sum_stack(inputs, known, values, node.output[0])
        else:
            self._read_for_each(reader, node.op_type, inputs, known, values, node.output[0])

    def _read_for_each(
        self, reader: Callable, op: str, inputs: list[str], known: list, values: dict, output: str
    ) -> None:
        """An operator on a stack, where it does not mix the maps."""
        if op not in ("Conv", "Relu", "Sigmoid") or (
            op == "Conv" and known[1] is not None and known[1].shape[2:] != (1, 1)
        ):
            raise unsupported(f"{op} of pooled maps that are stacked")
        self.stacks[output] = []
        for index, name in enumerate(self.stacks[inputs[0]]):
            self.stacks[output].append(f"{output}:{index}")
            reader(self, [name, *inputs[1:]], [None, *known[1:]], values, f"{output}:{index}")

    def _sum_stack(self, inputs: list[str], known: list, values: dict, output: str) -> None:
        axes = known[1].tolist() if len(known) > 1 and known[1] is not None else values.get("axes")
        if axes not in ([2], [-2]) or values.get("keepdims", 1) != 1:
            raise unsupported(f"ReduceSum with {settings(values)} over axes {axes}")
        total, *rest = self.stacks[inputs[0]]
        for index, name in enumerate(rest, 1):
            self.add("Add", [total, name], total := output if index == len(rest) else f"{output}:{index}")

    def _fold(self, op: str, values: dict, known: list) -> np.ndarray:
        if op == "Constant":
            if "value" not in values:
                raise unsupported("Constant without a tensor")
            return self.onnx.numpy_helper.to_array(values["value"])
        function = _FOLDS.get(op)
        if function is None or any(value.size > _FOLDED_NUMBERS for value in known):
            raise unsupported(f"{op} of constants")
        if op == "ConstantOfShape":
            if np.prod(known[0], dtype=float) > _FOLDED_NUMBERS:
                raise unsupported("ConstantOfShape of that size")
            value = values.get("value")
            return np.full(known[0], self.onnx.numpy_helper.to_array(value)[0] if value is not None else 0.0)
        return np.asarray(function(*known))

    def _source(self, name: str) -> str:
        return self.alias.get(name, name)

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        if output in self.maps:
            raise EngineError(f"{output} is computed twice")
        maps = [self.maps[name] for name in inputs]
        self.nodes.append(Node(op, inputs, [output], attributes))
        self.maps[output] = map_of(op, maps, attributes)

    def operand(self, op: str, name: str) -> str:
        """The name, after a constant among an operator's inputs has become one number a channel."""
        if name in self.maps:
            return name
        array = self.arrays[name]
        shape = (1,) * (4 - array.ndim) + array.shape
        if array.dtype != np.float32 or len(shape) != 4 or array.size != shape[1] or not array.size:
            raise unsupported(f"{op} with a constant {array.dtype} {array.shape}")
        self.add_constant(name, array.reshape(-1))
        return name

    def add_constant(self, name: str, numbers: np.ndarray) -> None:
        self.constants[name] = numbers.astype(np.float32)
        self.maps[name] = Map(len(numbers), pooled=True)

    def _name_output(self) -> None:
        source = self._source(OUTPUT_NAME)
        if source != OUTPUT_NAME:
            self.add("Concat", [source], OUTPUT_NAME)


#: What exporters leave of a shape's arithmetic.
_FOLDS: dict[str, Callable] = {
    "ConstantOfShape": np.full,
    "Mul": np.multiply,
    "Add": np.add,
    "Sub": np.subtract,
    "Equal": np.equal,
    "Where": np.where,
    "Identity": np.asarray,
}


def _reachable(nodes: list[Node]) -> list[Node]:
    needed, kept = {OUTPUT_NAME}, []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]
