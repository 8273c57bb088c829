"""How each operator of a graph is laid out: the steps that it takes, on which planes, with which parameters."""

import numpy as np

from dsad_core.engines.direct.draft import Draft, sizes
from dsad_core.engines.direct.graph import Node, unsupported
from dsad_core.engines.direct.kinds import (
    ATTEND_AXES,
    ATTEND_CHANNELS,
    ATTEND_CONV,
    BYTES_IN,
    CONV_ADD,
    CONV_RELU,
    LEFT_SCALAR,
    POINT,
    RIGHT_SCALAR,
    Kind,
)
from dsad_core.engines.direct.library import Sampling
from dsad_core.engines.direct.operators_bytes import attended, check_pooled, conv_bytes, floats, pairs
from dsad_core.engines.direct.parameters import BLOCK, samples
from dsad_core.engines.direct.planes import Sampled, band, stride
from dsad_core.engines.direct.quantise import PACKED
from dsad_core.errors import EngineError

#: Sides above this are a mistake, and the kernels count in 32 bits.
LARGEST_SIDE = 8192

#: Inputs and outputs from which on fewer multiplications are worth the transforms, as measured layer by layer.
_LEAST = 8, 4

#: Rows of a band from which on attention makes its means and maxima itself, though bands overlap in them.
_HIGH_BAND = 16


def _offsets(draft: Draft, weights: np.ndarray, dilation: int, size: tuple[int, int]) -> int:
    steps = dilation * (np.arange(weights.shape[2]) - weights.shape[2] // 2)
    return draft.keep((steps[:, None] * stride(size) + steps).astype(np.int32))


def _convolution(draft: Draft, conv: dict, size: tuple[int, int], block: int) -> dict:
    weights, bias = draft.weights.blocked(conv, block)
    return {
        "block": block,
        "taps": conv["weights"].shape[2] ** 2,
        "weights": draft.keep(weights),
        "bias": draft.keep(bias),
        "offsets": _offsets(draft, conv["weights"], conv["dilation"], size),
    }


def _winograd(draft: Draft, conv: dict, inputs: list) -> tuple[dict, dict]:
    """What it reads, and its parameters: it samples by itself what no one else needs in memory."""
    sampled = [not draft.in_memory(each) for each in inputs]
    planes = [each.source if unmade else draft.made(each) for each, unmade in zip(inputs, sampled)]
    weights, bias = draft.weights.winograd(conv)
    fields = {"weights": draft.keep(weights), "bias": draft.keep(bias)}
    if any(sampled):
        fields["sampling"] = draft.pointers(
            [each.sampling if unmade else None for each, unmade in zip(inputs, sampled)]
        )
    return {"in_": planes}, fields


def _conv(draft: Draft, node: Node) -> None:
    conv = node.attributes
    fast = _pays_as_winograd(conv)
    inputs = draft.maps[node.inputs[0]] if fast else draft.planes(node.inputs[0])
    size = draft.same_size(node, inputs, *(draft.maps[name] for name in node.inputs[1:]))
    block = 1 if len(conv["weights"]) == 1 else BLOCK
    if fast:
        reads, fields = _winograd(draft, conv, inputs)
    else:
        reads, fields = {"in_": inputs}, _convolution(draft, conv, size, block)
    mode = CONV_RELU * ("relu" in conv)
    if len(node.inputs) == 2:
        reads["side"] = draft.planes(node.inputs[1])
        mode |= CONV_ADD
    outputs = draft.maps[node.output] = draft.new(size, len(conv["weights"]))
    draft.count(size, conv, conv.get("shortcut"))
    if "gate" in conv:
        gate, gate_mode = draft.gate(node, size)
        fields, mode = fields | gate, mode | gate_mode
    made = outputs
    if "shortcut" in conv:
        shortcut = draft.maps[node.outputs[1]] = draft.new(size, len(conv["shortcut"]["weights"]))
        made = outputs + shortcut
        weights, bias = draft.weights.blocked(conv["shortcut"], block)
        fields |= {
            "shortcuts": len(shortcut),
            "side_weights": draft.keep(np.concatenate([bias, weights.ravel()])),
        }
    draft.step(Kind.WINOGRAD if fast else Kind.CONV, reads, made, mode=mode, **fields)


def _channels(draft: Draft, node: Node) -> None:
    inputs = draft.planes(node.inputs[0])
    size = draft.same_size(node, inputs)
    outputs = draft.maps[node.output] = draft.new(size, 1)
    pair = [*outputs, None] if node.op == "ChannelMean" else [None, *outputs]
    draft.step(Kind.CHANNELS, {"in_": inputs}, pair)


def _nothing(draft: Draft, node: Node) -> None:
    """Attend lays it out too."""


def _attend(draft: Draft, node: Node) -> None:
    mapped, shortcut = draft.planes(node.inputs[0]), draft.planes(node.inputs[4])
    size = draft.same_size(node, mapped, shortcut)
    extra, bytes_mode = attended(draft, node, len(mapped))
    outputs = draft.maps[node.output] = draft.new(
        size, len(mapped) // (PACKED if "made" in node.attributes else 1)
    )
    spatial, project = node.attributes["spatial"], node.attributes["shortcut"]
    draft.count(size, spatial, project)
    side, mode = [], ATTEND_CONV * (project is not None) | ATTEND_AXES * ("edge" in spatial)
    if band(size[0]) >= _HIGH_BAND:
        mode |= ATTEND_CHANNELS
    else:
        side = draft.new(size, 2)
        gate = draft.gates[node.inputs[1]].ctypes.data
        draft.step(Kind.CHANNELS, {"in_": mapped}, side, gate=gate)
        if "edge" in spatial:
            border = spatial["weights"].shape[2] // 2
            inner, side = side, draft.new((size[0] + 2 * border, size[1] + 2 * border), 2)
            draft.step(Kind.EXTEND, {"in_": inner}, side, in_size=size, taps=border)
    fields = {
        "gate": draft.gates[node.inputs[1]].ctypes.data,
        "side_taps": spatial["weights"].shape[2] ** 2,
        "side_weights": draft.keep(np.concatenate([spatial["bias"], spatial["weights"].ravel()])),
        **extra,
    }
    if project:
        fields |= _convolution(draft, project, size, BLOCK)
    draft.step(
        Kind.ATTEND,
        {"in_": shortcut, "side": side, "gated": mapped},
        outputs,
        in_size=side[0].size if side else size,
        mode=mode | bytes_mode,
        **fields,
    )


def _concat(draft: Draft, node: Node) -> None:
    draft.maps[node.output] = [plane for name in node.inputs for plane in draft.maps[name]]


def _repeat(draft: Draft, node: Node) -> None:
    planes = draft.maps[node.inputs[0]]
    draft.maps[node.output] = planes * abs(node.attributes["channels"]) if len(planes) == 1 else planes


def _pointwise(draft: Draft, node: Node) -> None:
    maps = [draft.planes(name) for name in node.inputs]
    pooled = [planes[0].size == (1, 1) for planes in maps]
    size = draft.same_size(node, *([planes for planes, one in zip(maps, pooled) if not one] or maps))
    count = max(len(planes) for planes in maps)
    maps = [planes * count if len(planes) == 1 else planes for planes in maps]
    outputs = draft.maps[node.output] = draft.new(size, count)
    scalar = sum(flag for flag, one in zip((LEFT_SCALAR, RIGHT_SCALAR), pooled) if one)
    draft.step(Kind.POINTWISE, dict(zip(("in_", "side"), maps)), outputs, mode=POINT[node.op] | scalar)


def _global(draft: Draft, node: Node) -> None:
    inputs = draft.planes(node.inputs[0])
    size = draft.same_size(node, inputs)
    outputs = draft.maps[node.output] = draft.new((1, 1), len(inputs))
    mode = int(node.op == "GlobalMax")
    draft.step(Kind.GLOBAL, {"in_": inputs}, outputs, in_size=size, items=len(outputs), mode=mode)


def _group_norm(draft: Draft, node: Node) -> None:
    inputs, groups = draft.planes(node.inputs[0]), node.attributes["groups"]
    size = draft.same_size(node, inputs)
    outputs = draft.maps[node.output] = draft.new(size, len(inputs))
    draft.step(
        Kind.NORMALISE,
        {"in_": inputs},
        outputs,
        items=groups,
        block=len(inputs) // groups,
        bias=draft.keep(np.array([node.attributes["epsilon"]], np.float32)),
    )


def _max_pool(draft: Draft, node: Node) -> None:
    inputs, window = draft.planes(node.inputs[0]), node.attributes["size"]
    size = draft.same_size(node, inputs)
    outside = -1 if node.attributes["ceil"] else 1  # rounds the division up
    smaller = outside * (outside * size[0] // window), outside * (outside * size[1] // window)
    outputs = draft.maps[node.output] = draft.new(_not_empty(node, size, smaller), len(inputs))
    mode = BYTES_IN * ("bytes" in node.attributes)
    if mode:
        check_pooled(node, size)
    draft.step(Kind.POOL, {"in_": inputs}, outputs, in_size=size, taps=window, mode=mode)


def _resize(draft: Draft, node: Node) -> None:
    inputs, target = draft.planes(node.inputs[0]), node.attributes.get("target")
    size = draft.same_size(node, inputs)
    if target is None:
        scale = node.attributes["scale"]
        scaled = int(size[0] * scale), int(size[1] * scale)
    else:
        scale, scaled = target[0] / size[0], target
        if scale * size[1] != target[1] or (scale != 0.5 and not 1 <= scale == int(scale)):
            raise unsupported(f"Resize of {sizes(inputs)} to {target[1]}x{target[0]}")
    if max(_not_empty(node, size, scaled)) > LARGEST_SIDE:
        raise EngineError(f"Resize {node.output}: to {scaled[1]}x{scaled[0]}")
    sampling = Sampling(height=size[0], width=size[1], stride=stride(size))
    for name, length, source in zip(("row", "column"), scaled, size):
        first, share = samples(length, source, scale, node.attributes["positions"])
        setattr(sampling, f"{name}s", draft.keep(first))
        setattr(sampling, f"{name}_shares", draft.keep(share))
    sampling.pairs = draft.keep(pairs(share))  # of the columns, which come last
    draft.maps[node.output] = [Sampled(scaled, plane, sampling) for plane in inputs]


def _pays_as_winograd(conv: dict) -> bool:
    weights = conv["weights"]
    outputs, inputs = weights.shape[:2]
    fits = weights.shape[2:] == (3, 3) and conv["dilation"] == 1
    return fits and inputs >= _LEAST[0] and outputs >= _LEAST[1]


def _not_empty(node: Node, size: tuple[int, int], scaled: tuple[int, int]) -> tuple[int, int]:
    if not min(scaled):
        raise EngineError(f"{node.op} {node.output}: nothing is left of {size[1]}x{size[0]}")
    return scaled


LAYOUTS = {
    "Conv": _conv,
    "Channels": _nothing,
    "ChannelMean": _channels,
    "ChannelMax": _channels,
    "Attend": _attend,
    "Concat": _concat,
    "Repeat": _repeat,
    "Relu": _pointwise,
    "Sigmoid": _pointwise,
    "Add": _pointwise,
    "Mul": _pointwise,
    "GlobalMean": _global,
    "GlobalMax": _global,
    "MaxPool": _max_pool,
    "GroupNorm": _group_norm,
    "Resize": _resize,
    "ConvBytes": conv_bytes,
    "Floats": floats,
}
