"""Lay a graph out for one size of image: which operators run on which planes, with which parameters."""

import ctypes
from itertools import groupby

import numpy as np

from dsad_core.engines.direct.graph import Graph, Node, unsupported
from dsad_core.engines.direct.library import Op, Sampling
from dsad_core.engines.direct.parameters import BLOCK, Weights, halo, samples
from dsad_core.engines.direct.plan_bytes import BYTES_IN, attended, check_pooled, conv_bytes, floats, pairs
from dsad_core.engines.direct.planes import LARGE, Memory, Plane, Sampled, Step, band, fill, stride
from dsad_core.engines.direct.quantise import PACKED
from dsad_core.engines.manifest import INPUT_NAME, OUTPUT_NAME
from dsad_core.errors import EngineError

#: Sides above this are a mistake, and the kernels count in 32 bits.
LARGEST_SIDE = 8192

#: Inputs and outputs from which on fewer multiplications are worth the transforms, as measured layer by layer.
_LEAST = 8, 4

#: Rows of a band from which on attention makes its means and maxima itself, though bands overlap in them.
_HIGH_BAND = 16

#: Bytes of a plane from which on it is written past the caches, where all planes together are large.
_STREAMED = 128 << 10

# Kinds and modes, as in program.hpp.
_LOAD, _STORE, _CONV, _CHANNELS, _ATTEND, _RESIZE = range(6)
_POOL, _POINTWISE, _GLOBAL, _EXTEND, _WINOGRAD, _NORMALISE, _CONV_BYTES = range(6, 13)
_CONV_RELU, _CONV_ADD, _CONV_GATE = 1, 2, 4
_ATTEND_CONV, _ATTEND_AXES, _ATTEND_CHANNELS = 1, 2, 4
_STREAM = 8
_POINT = {"Relu": 0, "Sigmoid": 1, "Add": 2, "Mul": 3}
_LEFT_SCALAR, _RIGHT_SCALAR = 4, 8


class Plan:
    """The operators of a graph for one size of image, ready to run.

    Args:
        lanes: floats in a vector of the kernels.
        weights: of this graph, shared by its plans.

    Attributes:
        ops: what the kernels run, in this order.
        bytes: of all planes.
        multiplications: multiply-adds of one image, every convolution summed directly.

    Raises:
        EngineError: maps that are put together differ in size.
    """

    def __init__(self, graph: Graph, height: int, width: int, lanes: int, weights: Weights | None = None):
        if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
            raise EngineError(f"an image of {width}x{height}: the sides must be 1 to {LARGEST_SIDE}")
        self._lanes = lanes
        self._weights = weights or Weights()
        self._kept: list = []  # arrays that the operators point into
        self.multiplications = 0
        self._gates: dict[str, np.ndarray] = {}
        self._count: dict[tuple[int, int], int] = {}
        self._steps: list[Step] = []
        self._sampled: dict[Sampled, Plane] = {}  # those that some reader needs in memory
        self._constants = {name: self._new((1, 1), len(numbers)) for name, numbers in graph.constants.items()}
        self._maps: dict[str, list] = dict(self._constants)
        self._maps[INPUT_NAME] = self._new((height, width), graph.maps[INPUT_NAME].channels)
        self._step(_LOAD, {}, self._maps[INPUT_NAME])
        for node in graph.nodes:
            _LAYOUTS[node.op](self, node)
        logits = self._planes(OUTPUT_NAME)
        if len(logits) != 1 or logits[0].size != (height, width):
            raise EngineError(f"an image of {width}x{height} gives logits of {_sizes(logits)}")
        self._step(_STORE, {"in_": logits}, logits, write=False)
        memory = Memory(self._steps, [p for planes in self._constants.values() for p in planes], halo(graph))
        self.bytes = memory.bytes
        self._kept.append(memory)
        for name, planes in self._constants.items():
            for plane, number in zip(planes, graph.constants[name].tolist()):
                ctypes.c_float.from_address(memory.address(plane)).value = number
        if self.bytes >= LARGE:
            for step in self._steps:
                if (
                    step.kind in (_CONV, _WINOGRAD, _ATTEND, _CONV_BYTES)
                    and 4 * step.size[0] * stride(step.size) >= _STREAMED
                ):
                    step.fields["mode"] |= _STREAM
        self.ops = (Op * len(self._steps))()
        for op, step in zip(self.ops, self._steps):
            self._kept += fill(op, step, memory)

    # Making steps.

    def _new(self, size: tuple[int, int], count: int) -> list[Plane]:
        first = self._count.get(size, 0)
        self._count[size] = first + count
        return [Plane(size, number) for number in range(first, first + count)]

    def _step(
        self,
        kind: int,
        reads: dict[str, list[Plane]],
        outputs: list,
        /,  # a field may have one of these names
        write: bool = True,
        in_size: tuple[int, int] | None = None,
        items: int | None = None,
        **fields,
    ) -> None:
        size = next(plane.size for plane in outputs if plane)
        self._steps.append(Step(kind, size, reads, outputs if write else [], in_size or size, fields, items))

    def _planes(self, name: str) -> list[Plane]:
        """The planes of a map, after those that would be sampled from others have been made."""
        missing = [
            each for each in self._maps[name] if isinstance(each, Sampled) and each not in self._sampled
        ]
        for _, members in groupby(missing, lambda each: id(each.sampling)):
            group = list(members)
            made = self._new(group[0].size, len(group))
            self._step(
                _RESIZE,
                {"in_": [each.source for each in group]},
                made,
                sampling=self._pointers([group[0].sampling]),
            )
            self._sampled.update(zip(group, made))
        return [self._sampled.get(each, each) for each in self._maps[name]]

    def _same_size(self, node: Node, *maps: list) -> tuple[int, int]:
        sizes = {plane.size for planes in maps for plane in planes}
        if len(sizes) != 1:
            raise EngineError(f"{node.op} {node.output}: maps of {_sizes([p for m in maps for p in m])}")
        return sizes.pop()

    def _keep(self, array: np.ndarray) -> int:
        array = np.ascontiguousarray(array)
        self._kept.append(array)
        return array.ctypes.data

    def _pointers(self, samplings: list[Sampling | None]) -> int:
        self._kept.append(samplings)
        return self._keep(np.array([ctypes.addressof(each) if each else 0 for each in samplings], np.uint64))

    def _offsets(self, weights: np.ndarray, dilation: int, size: tuple[int, int]) -> int:
        steps = dilation * (np.arange(weights.shape[2]) - weights.shape[2] // 2)
        return self._keep((steps[:, None] * stride(size) + steps).astype(np.int32))

    def _convolution(self, conv: dict, size: tuple[int, int], block: int) -> dict:
        weights, bias = self._weights.blocked(conv, block)
        return {
            "block": block,
            "taps": conv["weights"].shape[2] ** 2,
            "weights": self._keep(weights),
            "bias": self._keep(bias),
            "offsets": self._offsets(conv["weights"], conv["dilation"], size),
        }

    def _winograd(self, conv: dict, inputs: list) -> tuple[dict, dict]:
        """What it reads, and its parameters: it samples by itself what no one else needs in memory."""
        sampled = [isinstance(each, Sampled) and each not in self._sampled for each in inputs]
        planes = [
            each.source if unmade else self._sampled.get(each, each) for each, unmade in zip(inputs, sampled)
        ]
        weights, bias = self._weights.winograd(conv)
        fields = {"weights": self._keep(weights), "bias": self._keep(bias)}
        if any(sampled):
            fields["sampling"] = self._pointers(
                [each.sampling if unmade else None for each, unmade in zip(inputs, sampled)]
            )
        return {"in_": planes}, fields

    def _count_multiplications(self, size: tuple[int, int], *convs: dict | None) -> None:
        self.multiplications += size[0] * size[1] * sum(conv["weights"].size for conv in convs if conv)

    def _conv(self, node: Node) -> None:
        conv = node.attributes
        fast = _pays_as_winograd(conv)
        inputs = self._maps[node.inputs[0]] if fast else self._planes(node.inputs[0])
        size = self._same_size(node, inputs, *(self._maps[name] for name in node.inputs[1:]))
        block = 1 if len(conv["weights"]) == 1 else BLOCK
        if fast:
            reads, fields = self._winograd(conv, inputs)
        else:
            reads, fields = {"in_": inputs}, self._convolution(conv, size, block)
        mode = _CONV_RELU * ("relu" in conv)
        if len(node.inputs) == 2:
            reads["side"] = self._planes(node.inputs[1])
            mode |= _CONV_ADD
        outputs = self._maps[node.output] = self._new(size, len(conv["weights"]))
        self._count_multiplications(size, conv, conv.get("shortcut"))
        if "gate" in conv:
            gate, gate_mode = self._gate(node, size)
            fields, mode = fields | gate, mode | gate_mode
        made = outputs
        if "shortcut" in conv:
            shortcut = self._maps[node.outputs[1]] = self._new(size, len(conv["shortcut"]["weights"]))
            made = outputs + shortcut
            weights, bias = self._weights.blocked(conv["shortcut"], block)
            fields |= {
                "shortcuts": len(shortcut),
                "side_weights": self._keep(np.concatenate([bias, weights.ravel()])),
            }
        self._step(_WINOGRAD if fast else _CONV, reads, made, mode=mode, **fields)

    def _gate(self, node: Node, size: tuple[int, int]) -> tuple[dict, int]:
        """Fields and mode of a convolution that makes the factors of channel attention, its second output."""
        first, first_bias, second, second_bias = node.attributes["gate"]
        channels = len(second_bias)
        # The factors, and behind them room for means and maxima.
        self._gates[node.outputs[1]] = np.zeros(3 * channels, np.float32)
        items = -(-size[0] // band(size[0]))
        numbers = [part.ravel() for part in (first, first_bias, second, second_bias)]
        return {
            "hidden": len(first),
            "gate": self._keep(self._gates[node.outputs[1]]),
            "partial": self._keep(np.zeros((items, channels, 2, self._lanes), np.float32)),
            "gate_weights": self._keep(np.concatenate(numbers).astype(np.float32)),
        }, _CONV_GATE

    def _channels(self, node: Node) -> None:
        inputs = self._planes(node.inputs[0])
        size = self._same_size(node, inputs)
        outputs = self._maps[node.output] = self._new(size, 1)
        pair = [*outputs, None] if node.op == "ChannelMean" else [None, *outputs]
        self._step(_CHANNELS, {"in_": inputs}, pair)

    def _nothing(self, node: Node) -> None:
        """Attend lays it out too."""

    def _attend(self, node: Node) -> None:
        mapped, shortcut = self._planes(node.inputs[0]), self._planes(node.inputs[4])
        size = self._same_size(node, mapped, shortcut)
        extra, bytes_mode = attended(self, node, len(mapped))
        outputs = self._maps[node.output] = self._new(
            size, len(mapped) // (PACKED if "made" in node.attributes else 1)
        )
        spatial, project = node.attributes["spatial"], node.attributes["shortcut"]
        self._count_multiplications(size, spatial, project)
        side, mode = [], _ATTEND_CONV * (project is not None) | _ATTEND_AXES * ("edge" in spatial)
        if band(size[0]) >= _HIGH_BAND:
            mode |= _ATTEND_CHANNELS
        else:
            side = self._new(size, 2)
            gate = self._gates[node.inputs[1]].ctypes.data
            self._step(_CHANNELS, {"in_": mapped}, side, gate=gate)
            if "edge" in spatial:
                border = spatial["weights"].shape[2] // 2
                inner, side = side, self._new((size[0] + 2 * border, size[1] + 2 * border), 2)
                self._step(_EXTEND, {"in_": inner}, side, in_size=size, taps=border)
        fields = {
            "gate": self._gates[node.inputs[1]].ctypes.data,
            "side_taps": spatial["weights"].shape[2] ** 2,
            "side_weights": self._keep(np.concatenate([spatial["bias"], spatial["weights"].ravel()])),
            **extra,
        }
        if project:
            fields |= self._convolution(project, size, BLOCK)
        self._step(
            _ATTEND,
            {"in_": shortcut, "side": side, "gated": mapped},
            outputs,
            in_size=side[0].size if side else size,
            mode=mode | bytes_mode,
            **fields,
        )

    def _concat(self, node: Node) -> None:
        self._maps[node.output] = [plane for name in node.inputs for plane in self._maps[name]]

    def _repeat(self, node: Node) -> None:
        planes = self._maps[node.inputs[0]]
        self._maps[node.output] = planes * abs(node.attributes["channels"]) if len(planes) == 1 else planes

    def _pointwise(self, node: Node) -> None:
        maps = [self._planes(name) for name in node.inputs]
        pooled = [planes[0].size == (1, 1) for planes in maps]
        size = self._same_size(node, *([planes for planes, one in zip(maps, pooled) if not one] or maps))
        count = max(len(planes) for planes in maps)
        maps = [planes * count if len(planes) == 1 else planes for planes in maps]
        outputs = self._maps[node.output] = self._new(size, count)
        scalar = sum(flag for flag, one in zip((_LEFT_SCALAR, _RIGHT_SCALAR), pooled) if one)
        self._step(_POINTWISE, dict(zip(("in_", "side"), maps)), outputs, mode=_POINT[node.op] | scalar)

    def _global(self, node: Node) -> None:
        inputs = self._planes(node.inputs[0])
        size = self._same_size(node, inputs)
        outputs = self._maps[node.output] = self._new((1, 1), len(inputs))
        mode = int(node.op == "GlobalMax")
        self._step(_GLOBAL, {"in_": inputs}, outputs, in_size=size, items=len(outputs), mode=mode)

    def _group_norm(self, node: Node) -> None:
        inputs, groups = self._planes(node.inputs[0]), node.attributes["groups"]
        size = self._same_size(node, inputs)
        outputs = self._maps[node.output] = self._new(size, len(inputs))
        self._step(
            _NORMALISE,
            {"in_": inputs},
            outputs,
            items=groups,
            block=len(inputs) // groups,
            bias=self._keep(np.array([node.attributes["epsilon"]], np.float32)),
        )

    def _max_pool(self, node: Node) -> None:
        inputs, window = self._planes(node.inputs[0]), node.attributes["size"]
        size = self._same_size(node, inputs)
        outside = -1 if node.attributes["ceil"] else 1  # rounds the division up
        smaller = outside * (outside * size[0] // window), outside * (outside * size[1] // window)
        outputs = self._maps[node.output] = self._new(_not_empty(node, size, smaller), len(inputs))
        mode = BYTES_IN * ("bytes" in node.attributes)
        if mode:
            check_pooled(node, size)
        self._step(_POOL, {"in_": inputs}, outputs, in_size=size, taps=window, mode=mode)

    def _resize(self, node: Node) -> None:
        inputs, target = self._planes(node.inputs[0]), node.attributes.get("target")
        size = self._same_size(node, inputs)
        if target is None:
            scale = node.attributes["scale"]
            scaled = int(size[0] * scale), int(size[1] * scale)
        else:
            scale, scaled = target[0] / size[0], target
            if scale * size[1] != target[1] or (scale != 0.5 and not 1 <= scale == int(scale)):
                raise unsupported(f"Resize of {_sizes(inputs)} to {target[1]}x{target[0]}")
        if max(_not_empty(node, size, scaled)) > LARGEST_SIDE:
            raise EngineError(f"Resize {node.output}: to {scaled[1]}x{scaled[0]}")
        sampling = Sampling(height=size[0], width=size[1], stride=stride(size))
        for name, length, source in zip(("row", "column"), scaled, size):
            first, share = samples(length, source, scale, node.attributes["positions"])
            setattr(sampling, f"{name}s", self._keep(first))
            setattr(sampling, f"{name}_shares", self._keep(share))
        sampling.pairs = self._keep(pairs(share))  # of the columns, which come last
        self._maps[node.output] = [Sampled(scaled, plane, sampling) for plane in inputs]


_LAYOUTS = {
    "Conv": Plan._conv,
    "Channels": Plan._nothing,
    "ChannelMean": Plan._channels,
    "ChannelMax": Plan._channels,
    "Attend": Plan._attend,
    "Concat": Plan._concat,
    "Repeat": Plan._repeat,
    "Relu": Plan._pointwise,
    "Sigmoid": Plan._pointwise,
    "Add": Plan._pointwise,
    "Mul": Plan._pointwise,
    "GlobalMean": Plan._global,
    "GlobalMax": Plan._global,
    "MaxPool": Plan._max_pool,
    "GroupNorm": Plan._group_norm,
    "Resize": Plan._resize,
    "ConvBytes": conv_bytes,
    "Floats": floats,
}


def _pays_as_winograd(conv: dict) -> bool:
    weights = conv["weights"]
    outputs, inputs = weights.shape[:2]
    fits = weights.shape[2:] == (3, 3) and conv["dilation"] == 1
    return fits and inputs >= _LEAST[0] and outputs >= _LEAST[1]


def _not_empty(node: Node, size: tuple[int, int], scaled: tuple[int, int]) -> tuple[int, int]:
    if not min(scaled):
        raise EngineError(f"{node.op} {node.output}: nothing is left of {size[1]}x{size[0]}")
    return scaled


def _sizes(planes: list) -> str:
    return ", ".join(f"{width}x{height}" for height, width in sorted({plane.size for plane in planes}))
