"""Lay out what runs on bytes; see `quantise`."""

import numpy as np

from dsad_core.engines.direct.draft import Draft
from dsad_core.engines.direct.graph import Node
from dsad_core.engines.direct.kinds import BYTES_IN, BYTES_OUT, Kind
from dsad_core.engines.direct.planes import Sampled
from dsad_core.engines.direct.quantise import PACKED, weights_of
from dsad_core.errors import EngineError


def conv_bytes(draft: Draft, node: Node) -> None:
    """A 3x3 convolution of a map in bytes, which it samples by itself where it is a resized one."""
    conv = node.attributes
    inputs = draft.maps[node.inputs[0]]
    size = draft.same_size(node, inputs)
    shortcut = conv.get("shortcut")
    draft.count(size, conv, shortcut)
    weights, factors = _packed(conv, conv["levels"])
    made, mode = conv.get("made"), 0
    added = conv["bias"]
    if made is None:
        outputs = draft.new(size, len(factors))
    else:
        factors, added, mode = factors / made, added / made, BYTES_OUT
        outputs = draft.new(size, len(factors) // PACKED)
    draft.maps[node.output] = outputs
    fields, gate_mode = draft.gate(node, size) if "gate" in conv else ({}, 0)
    fields["bias"] = draft.keep(np.concatenate([factors, added]).astype(np.float32))
    if shortcut:
        side_weights, side_factors = _packed(shortcut, conv["levels"])
        weights = np.concatenate([weights.ravel(), side_weights.ravel()])
        draft.maps[node.outputs[1]] = beside = draft.new(size, len(side_factors))
        outputs = outputs + beside
        both = np.concatenate([side_factors, shortcut["bias"]])
        fields |= {"shortcuts": len(beside), "side_weights": draft.keep(both.astype(np.float32))}
    fields["weights"] = draft.keep(weights)
    if any(isinstance(each, Sampled) for each in inputs):
        fields["sampling"] = draft.pointers([getattr(each, "sampling", None) for each in inputs])
    planes = [each.source if isinstance(each, Sampled) else each for each in inputs]
    draft.step(Kind.CONV_BYTES, {"in_": planes}, outputs, mode=mode | gate_mode, **fields)


def floats(draft: Draft, node: Node) -> None:
    """A map in bytes as planes of floats."""
    inputs, levels = draft.maps[node.inputs[0]], node.attributes["levels"]
    size = draft.same_size(node, inputs)
    outputs = draft.maps[node.output] = draft.new(size, len(levels))
    draft.step(Kind.FLOATS, {"in_": inputs}, outputs, bias=draft.keep(levels.astype(np.float32)))


def check_pooled(node: Node, size: tuple[int, int]) -> None:
    """Refuse a map in bytes of odd sides, which the kernel does not halve."""
    if size[0] % 2 or size[1] % 2:
        raise EngineError(f"{node.op} {node.output}: halves maps of {size[1]}x{size[0]} in bytes")


def attended(draft: Draft, node: Node, channels: int) -> tuple[dict, int]:
    """Fields and mode of an Attend that reads or makes bytes."""
    made, levels = node.attributes.get("made"), node.attributes.get("levels")
    if made is None and levels is None:
        return {}, 0
    numbers = np.ones(2 * channels, np.float32)
    if made is not None:
        numbers[:channels] = 1 / made
    if levels is not None:
        numbers[channels:] = levels
    mode = BYTES_OUT * (made is not None) | BYTES_IN * (levels is not None)
    return {"gate_weights": draft.keep(numbers), "outputs": channels}, mode


def pairs(shares: np.ndarray) -> np.ndarray:
    """Shares (n,), n a multiple of 16, of the next column as bytes.hpp reads them: 127 - share and share of a pixel,
    once for each channel, [vector][half of a lane][lane][pixel][channel][2]."""
    share = np.rint(shares * 127).astype(np.int8)
    pair = np.stack([127 - share, share], -1).reshape(-1, 4, 2, 2, 2)  # vector, lane, half, pixel, 2
    ordered = pair.transpose(0, 2, 1, 3, 4)[:, :, :, :, None]
    return np.ascontiguousarray(np.broadcast_to(ordered, (*ordered.shape[:4], PACKED, 2)))


def _packed(conv: dict, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [block of outputs][plane][column][row][output][channel], and the scales of the outputs' sums."""
    weights, scales = weights_of(conv, levels)
    outputs, inputs, rows, columns = weights.shape
    blocks = weights.reshape(outputs // 4, 4, inputs // PACKED, PACKED, rows, columns)
    return np.ascontiguousarray(blocks.transpose(0, 2, 5, 4, 1, 3)), scales
