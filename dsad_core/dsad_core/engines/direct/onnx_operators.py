"""Read single ONNX operators into a `Reader`'s graph.

Each function takes the reader, the names of the operator's inputs, their values where they are constant, the operator's
attributes, and the name of its output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dsad_core.engines.direct.graph import unsupported
from dsad_core.engines.direct.layouts import READERS as LAYOUT_READERS
from dsad_core.errors import EngineError

if TYPE_CHECKING:
    from dsad_core.engines.direct.reader import Reader


def _conv(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
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
        raise unsupported(f"Conv {weights.shape} with {settings(values)}")
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


def _pad(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    pads = known[1].tolist() if len(known) > 1 and known[1] is not None else []
    if (
        values.get("mode", b"constant") != b"edge"
        or len(known) > 3
        or len(pads) != 8
        or pads[-1] < 1
        or pads != [0, 0, pads[-1], pads[-1]] * 2
        or inputs[0] not in reader.maps
    ):
        raise unsupported(f"Pad by {pads} with {settings(values)}")
    reader.extended[output] = inputs[0], pads[-1]


def _batch_norm(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    if any(value is None or value.ndim != 1 for value in known[1:5]) or len(known) != 5:
        raise unsupported("BatchNormalization with computed statistics")
    scale, shift, mean, variance = (value.astype(np.float64) for value in known[1:5])
    factor = scale / np.sqrt(variance + values.get("epsilon", 1e-5))
    reader.add_constant(f"{output}:factor", factor)
    reader.add_constant(f"{output}:shift", shift - mean * factor)
    reader.add("Mul", [inputs[0], f"{output}:factor"], f"{output}:scaled")
    reader.add("Add", [f"{output}:scaled", f"{output}:shift"], output)


def _simple(op: str) -> Callable:
    def read(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
        reader.add(op, [reader.operand(op, name) for name in inputs], output)

    return read


def _division(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    if known[1] is None or known[1].dtype != np.float32:
        raise unsupported("Div by a map")
    reader.arrays[f"{output}:reciprocal"] = np.float32(1) / known[1]
    reader.add("Mul", [inputs[0], reader.operand("Div", f"{output}:reciprocal")], output)


def _concat(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
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
    def read(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
        axes = values.get("axes") if len(inputs) < 2 else known[1] if known[1] is None else known[1].tolist()
        axes = sorted(axis % 4 for axis in axes) if axes else None
        if axes not in ([1], [2, 3] if whole else [1]) or values.get("keepdims", 1) != 1:
            raise unsupported(f"Reduce with {settings(values)} over axes {axes}")
        reader.add(op if axes == [1] or whole is None else whole, inputs[:1], output)

    return read


def _sum(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    raise unsupported("ReduceSum but of pooled maps that are stacked")


def _max_pool(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
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
        raise unsupported(f"MaxPool with {settings(values)}")
    reader.add("MaxPool", inputs, output, size=size[0], ceil=bool(values.get("ceil_mode", 0)))


def _resize(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    scales, sizes = (known[index] if len(known) > index else None for index in (2, 3))
    where = values.get("coordinate_transformation_mode", b"half_pixel").decode()
    if (
        values.get("mode", b"nearest") != b"linear"
        or values.get("antialias")
        or values.get("axes")
        or where not in ("align_corners", "half_pixel", "pytorch_half_pixel")
    ):
        raise unsupported(f"Resize with {settings(values)}")
    if sizes is not None and sizes.shape == (4,) and sizes.dtype == np.int64:
        fields: dict[str, Any] = {"target": tuple(int(side) for side in sizes[2:])}
    elif scales is not None and scales.shape == (4,) and scales.tolist() == [1, 1, scales[2], scales[2]]:
        fields = {"scale": float(scales[2])}
        if scales[2] != 0.5 and not 1 <= scales[2] == int(scales[2]):
            raise unsupported(f"Resize by {scales[2]}")
    else:
        raise unsupported(f"Resize to sizes {sizes} or by scales {scales}")
    reader.add("Resize", inputs[:1], output, positions=where, **fields)


def _expand(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    shape = known[1]
    if shape is None or shape.ndim != 1 or len(shape) > 4:
        raise unsupported("Expand to a computed shape")
    shape = [1] * (4 - len(shape)) + shape.tolist()
    if any(side not in (1, -1) for side in (shape[0], *shape[2:])) or not 1 <= abs(shape[1]) <= 1024:
        raise unsupported(f"Expand to {shape}")
    reader.add("Repeat", inputs[:1], output, channels=shape[1])


def _identity(reader: Reader, inputs: list[str], known: list, values: dict, output: str) -> None:
    reader.alias[output] = inputs[0]


def settings(values: dict) -> str:
    """For people: attributes of an operator."""
    return ", ".join(f"{key}={value}" for key, value in sorted(values.items())) or "its defaults"


READERS: dict[str, Callable] = {
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
