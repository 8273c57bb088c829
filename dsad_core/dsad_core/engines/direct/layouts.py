"""ONNX operators on maps that are held in another shape: normalisation in groups, and matrices of pooled maps.

torch's exporter writes GroupNorm as a Reshape to (N, groups, rest), an InstanceNormalization and a Reshape back
to the Shape before; and a linear layer as a Reshape to (N, channels) and a MatMul.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from dsad_core.engines.direct.graph import unsupported


class Layouts:
    """What a reader knows of such shapes, each by the name of what ONNX computes.

    Attributes:
        grouped: (1, groups, rest): the map in it, the map whose shape it had, and how many groups.
        flat: (1, channels): the pooled map in it.
        shapes: the map whose shape it is.
    """

    def __init__(self) -> None:
        self.grouped: dict[str, tuple[str, str, int]] = {}
        self.flat: dict[str, str] = {}
        self.shapes: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.grouped or name in self.flat or name in self.shapes

    def accept(self, op: str, name: str) -> bool:
        """Whether there is a reader of that operator for what this is."""
        return (
            op in ("InstanceNormalization", "Reshape")
            if name in self.grouped
            else op in ("MatMul", "Relu", "Sigmoid", "Unsqueeze")
            if name in self.flat
            else op == "Reshape"
        )


def reshape(reader: Any, inputs: list[str], known: list, values: dict, output: str) -> None:
    """To groups, from groups back, or of a pooled map to a matrix."""
    layouts, (source, target) = reader.layouts, inputs
    shape = None if known[1] is None else known[1].tolist()
    if source in layouts.grouped:
        found, before, _ = layouts.grouped[source]
        if layouts.shapes.get(target) != before:
            raise unsupported("Reshape of normalised groups but to the shape before")
        reader.alias[output] = found
    elif source in reader.maps and shape and not values.get("allowzero"):
        of = reader.maps[source]
        if of.pooled and len(shape) == 2 and shape[0] in (0, 1) and shape[1] in (-1, of.channels):
            layouts.flat[output] = source
        elif not of.pooled and len(shape) == 3 and shape[0] in (0, 1) and shape[1] > 0 and shape[2] == -1:
            layouts.grouped[output] = source, source, shape[1]
        else:
            raise unsupported(f"Reshape to {shape}")
    else:
        raise unsupported("Reshape to a computed shape" if shape is None else f"Reshape to {shape}")


def shape(reader: Any, inputs: list[str], known: list, values: dict, output: str) -> None:
    """Kept only to recognise a Reshape back."""
    if values.get("start", 0) or "end" in values or inputs[0] not in reader.maps:
        raise unsupported("Shape but of a whole map")
    reader.layouts.shapes[output] = inputs[0]


def instance_norm(reader: Any, inputs: list[str], known: list, values: dict, output: str) -> None:
    """Of groups of channels, or of each channel."""
    grouped = reader.layouts.grouped.get(inputs[0])
    source, before, groups = grouped or (inputs[0], inputs[0], reader.maps[inputs[0]].channels)
    if any(array is None or array.shape != (groups,) for array in known[1:]) or len(known) != 3:
        raise unsupported("InstanceNormalization with computed factors, or another number of them")
    made = f"{output}:map" if grouped else output
    factors = [np.repeat(array, reader.maps[source].channels // groups) for array in known[1:]]
    steps = [
        (op, factor)
        for op, factor, neutral in zip(("Mul", "Add"), factors, (1, 0))
        if (factor != neutral).any()
    ]
    names = [f"{output}:normalised:{op}" for op, _ in steps]
    last, *later = [*names, made]
    reader.add("GroupNorm", [source], last, groups=groups, epsilon=float(values.get("epsilon", 1e-5)))
    for (op, factor), name in zip(steps, later):
        reader.add_constant(f"{name}:{op}", factor)
        reader.add(op, [last, f"{name}:{op}"], name)
        last = name
    if grouped:
        reader.layouts.grouped[output] = made, before, groups


def matmul(reader: Any, inputs: list[str], known: list, values: dict, output: str) -> None:
    """Of a matrix of a pooled map, by constants: a 1x1 convolution of the map."""
    weights = known[1]
    if inputs[0] not in reader.layouts.flat or weights is None or weights.ndim != 2:
        raise unsupported("MatMul but of a pooled map by constants")
    reader.layouts.flat[output] = f"{output}:map"
    reader.add(
        "Conv",
        [reader.layouts.flat[inputs[0]]],
        f"{output}:map",
        weights=np.ascontiguousarray(weights.T)[:, :, None, None],
        bias=np.zeros(weights.shape[1], np.float32),
        dilation=1,
    )


def unsqueeze(reader: Any, inputs: list[str], known: list, values: dict, output: str) -> None:
    """From a matrix back to the pooled map."""
    axes = known[1].tolist() if len(known) > 1 and known[1] is not None else values.get("axes")
    if inputs[0] not in reader.layouts.flat or sorted(axis % 4 for axis in axes or []) != [2, 3]:
        raise unsupported(f"Unsqueeze of axes {axes}")
    reader.alias[output] = reader.layouts.flat[inputs[0]]


def each_number(op: str, reader: Any, name: str, output: str) -> None:
    """A function of each number of a matrix."""
    reader.layouts.flat[output] = f"{output}:map"
    reader.add(op, [reader.layouts.flat[name]], f"{output}:map")


READERS: dict[str, Callable] = {
    "Reshape": reshape,
    "Shape": shape,
    "InstanceNormalization": instance_norm,
    "MatMul": matmul,
    "Unsqueeze": unsqueeze,
}
