"""Read an ONNX file into a ``Graph``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dsad_core.engines.direct.graph import Graph, Map, Node, map_of, unsupported
from dsad_core.engines.direct.layouts import READERS as LAYOUT_READERS
from dsad_core.engines.direct.layouts import Layouts, each_number
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
        return _Reader(model.graph, onnx).read()
    except (EngineError, UnsupportedModelError):
        raise
    except Exception as error:  # protobuf's and numpy's errors share no other base
        raise EngineError(f"{path}: not a model that can be read ({one_line(error)})") from error


class _Reader:
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
        reader = _READERS.get(node.op_type)
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
            raise unsupported(f"ReduceSum with {_settings(values)} over axes {axes}")
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


def _conv(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    weights = known[1]
    bias = known[2] if len(known) > 2 and known[2] is not None else None
    if weights is None or (len(inputs) > 2 and inputs[2] and bias is None):
        raise unsupported("Conv with computed weights")
    if weights.ndim != 4 or weights.dtype != np.float32 or not weights.size:
        raise unsupported(f"Conv with {weights.dtype} weights {weights.shape}")
    size, dilation = weights.shape[2], list(values.get("dilations", (1, 1)))
    reach = dilation[0] * (size - 1) // 2
    pads = list(values.get("pads", (0, 0, 0, 0)))
    source, border = reader.extended.get(inputs[0], (inputs[0], 0))
    if border and border == reach and not any(pads) and "auto_pad" not in values:
        pads = [reach] * 4
    elif border:
        raise unsupported(f"Conv {weights.shape} of a map padded by {border}")
    if values.get("auto_pad", b"NOTSET") in (b"SAME_UPPER", b"SAME_LOWER"):
        pads = [reach] * 4
    if (
        weights.shape[3] != size
        or size not in (1, 3, 5, 7)
        or values.get("group", 1) != 1
        or list(values.get("strides", (1, 1))) != [1, 1]
        or dilation != dilation[:1] * 2
        or pads != [reach] * 4
        or values.get("kernel_shape", [size] * 2) != [size] * 2
    ):
        raise unsupported(f"Conv {weights.shape} with {_settings(values)}")
    if bias is None:
        bias = np.zeros(len(weights), np.float32)
    if bias.shape != (len(weights),) or bias.dtype != np.float32:
        raise EngineError(f"Conv {output}: {len(weights)} outputs, but a bias {bias.dtype} {bias.shape}")
    reader.add(
        "Conv",
        [source],
        output,
        weights=weights,
        bias=bias,
        dilation=dilation[0],
        **({"edge": True} if border else {}),
    )


def _pad(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    pads = known[1].tolist() if len(known) > 1 and known[1] is not None else []
    if (
        values.get("mode", b"constant") != b"edge"
        or len(known) > 3
        or len(pads) != 8
        or pads[-1] < 1
        or pads != [0, 0, pads[-1], pads[-1]] * 2
        or inputs[0] not in reader.maps
    ):
        raise unsupported(f"Pad by {pads} with {_settings(values)}")
    reader.extended[output] = inputs[0], pads[-1]


def _batch_norm(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    if any(value is None or value.ndim != 1 for value in known[1:5]) or len(known) != 5:
        raise unsupported("BatchNormalization with computed statistics")
    scale, shift, mean, variance = (value.astype(np.float64) for value in known[1:5])
    factor = scale / np.sqrt(variance + values.get("epsilon", 1e-5))
    reader.add_constant(f"{output}:factor", factor)
    reader.add_constant(f"{output}:shift", shift - mean * factor)
    reader.add("Mul", [inputs[0], f"{output}:factor"], f"{output}:scaled")
    reader.add("Add", [f"{output}:scaled", f"{output}:shift"], output)


def _simple(op: str) -> Callable:
    def read(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
        reader.add(op, [reader.operand(op, name) for name in inputs], output)

    return read


def _division(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    if known[1] is None or known[1].dtype != np.float32:
        raise unsupported("Div by a map")
    reader.arrays[f"{output}:reciprocal"] = np.float32(1) / known[1]
    reader.add("Mul", [inputs[0], reader.operand("Div", f"{output}:reciprocal")], output)


def _concat(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    if (
        values.get("axis") in (2, -2)
        and len(inputs) > 1
        and all(name in reader.maps and reader.maps[name].pooled for name in inputs)
    ):
        reader.stacks[output] = inputs
        return
    if values.get("axis") not in (1, -3):
        raise unsupported(f"Concat on axis {values.get('axis')}")
    if any(value is not None for value in known):
        raise unsupported("Concat with a constant")
    reader.add("Concat", inputs, output)


def _reduction(op: str, whole: str | None) -> Callable:
    def read(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
        axes = values.get("axes") if len(inputs) < 2 else known[1] if known[1] is None else known[1].tolist()
        axes = sorted(axis % 4 for axis in axes) if axes else None
        if axes not in ([1], [2, 3] if whole else [1]) or values.get("keepdims", 1) != 1:
            raise unsupported(f"Reduce with {_settings(values)} over axes {axes}")
        reader.add(op if axes == [1] or whole is None else whole, inputs[:1], output)

    return read


def _sum(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    raise unsupported("ReduceSum but of pooled maps that are stacked")


def _max_pool(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    size = list(values.get("kernel_shape", ()))
    if (
        len(size) != 2
        or size[0] != size[1]
        or size[0] < 1
        or list(values.get("strides", (1, 1))) != size
        or any(values.get("pads", ()))
        or list(values.get("dilations", (1, 1))) != [1, 1]
        or values.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    ):
        raise unsupported(f"MaxPool with {_settings(values)}")
    reader.add("MaxPool", inputs, output, size=size[0], ceil=bool(values.get("ceil_mode", 0)))


def _resize(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    scales, sizes = (known[index] if len(known) > index else None for index in (2, 3))
    where = values.get("coordinate_transformation_mode", b"half_pixel").decode()
    if (
        values.get("mode", b"nearest") != b"linear"
        or values.get("antialias")
        or values.get("axes")
        or where not in ("align_corners", "half_pixel", "pytorch_half_pixel")
    ):
        raise unsupported(f"Resize with {_settings(values)}")
    if sizes is not None and sizes.shape == (4,) and sizes.dtype == np.int64:
        fields: dict[str, Any] = {"target": tuple(int(side) for side in sizes[2:])}
    elif scales is not None and scales.shape == (4,) and scales.tolist() == [1, 1, scales[2], scales[2]]:
        fields = {"scale": float(scales[2])}
        if scales[2] != 0.5 and not 1 <= scales[2] == int(scales[2]):
            raise unsupported(f"Resize by {scales[2]}")
    else:
        raise unsupported(f"Resize to sizes {sizes} or by scales {scales}")
    reader.add("Resize", inputs[:1], output, positions=where, **fields)


def _expand(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    shape = known[1]
    if shape is None or shape.ndim != 1 or len(shape) > 4:
        raise unsupported("Expand to a computed shape")
    shape = [1] * (4 - len(shape)) + shape.tolist()
    if any(side not in (1, -1) for side in (shape[0], *shape[2:])) or not 1 <= abs(shape[1]) <= 1024:
        raise unsupported(f"Expand to {shape}")
    reader.add("Repeat", inputs[:1], output, channels=shape[1])


def _identity(reader: _Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    reader.alias[output] = inputs[0]


_READERS: dict[str, Callable] = {
    "Conv": _conv,
    "Relu": _simple("Relu"),
    "Sigmoid": _simple("Sigmoid"),
    "Add": _simple("Add"),
    "Mul": _simple("Mul"),
    "Div": _division,
    "Concat": _concat,
    "BatchNormalization": _batch_norm,
    "GlobalAveragePool": _simple("GlobalMean"),
    "GlobalMaxPool": _simple("GlobalMax"),
    "ReduceMean": _reduction("ChannelMean", "GlobalMean"),
    "ReduceMax": _reduction("ChannelMax", "GlobalMax"),
    "ReduceMin": _reduction("ChannelMin", None),
    "ReduceSum": _sum,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Resize": _resize,
    "Expand": _expand,
    "Identity": _identity,
    "Dropout": _identity,
    **LAYOUT_READERS,
}

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


def _settings(values: dict) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(values.items())) or "its defaults"
