"""Lay a graph out for one size of image: which plane lies where, and the operators' parameters."""

import ctypes
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsad_core.engines.direct.graph import Graph, Node, unsupported
from dsad_core.engines.direct.library import Op
from dsad_core.engines.manifest import INPUT_NAME, OUTPUT_NAME
from dsad_core.errors import EngineError

#: Rows start on a cache line, and so many zeros at least lie between two of them.
LINE = 16
#: Output channels that a convolution sums up at once.
BLOCK = 4
#: About as many bands an operator: enough for eight threads to share, few enough to cost nothing.
BANDS = 32
#: Rows below the last plane that the kernels may read, though they do not use them.
OVERRUN = 8
#: Sides above this are a mistake, and the kernels count in 32 bits.
LARGEST_SIDE = 8192

# Kinds and modes, as in operators.hpp.
_LOAD, _STORE, _CONV, _CHANNELS, _ATTEND, _RESIZE, _POOL, _POINTWISE, _GLOBAL, _EXTEND = range(10)
_CONV_RELU, _CONV_ADD, _CONV_GATE = 1, 2, 4
_ATTEND_CONV, _ATTEND_AXES = 1, 2
_POINT = {"Relu": 0, "Sigmoid": 1, "Add": 2, "Mul": 3}
_LEFT_SCALAR, _RIGHT_SCALAR = 4, 8


@dataclass(frozen=True)
class Plane:
    """One channel of a map: the ``number``-th plane made of ``size`` (height, width)."""

    size: tuple[int, int]
    number: int


@dataclass
class _Step:
    kind: int
    size: tuple[int, int]
    reads: dict[str, list[Plane]]
    writes: list[Plane | None]
    in_size: tuple[int, int]
    fields: dict


class Plan:
    """The operators of a graph for one size of image, ready to run.

    Attributes:
        ops: what the kernels run, in this order.
        bytes: of all planes.

    Raises:
        EngineError: maps that are put together differ in size.
    """

    def __init__(self, graph: Graph, height: int, width: int, lanes: int):
        if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
            raise EngineError(f"an image of {width}x{height}: the sides must be 1 to {LARGEST_SIDE}")
        self._lanes = lanes
        self._halo = _halo(graph)
        self._kept: list = []  # arrays that the operators point into
        self._gates: dict[str, np.ndarray] = {}
        self._count: dict[tuple[int, int], int] = {}
        self._steps: list[_Step] = []
        self._constants = {name: self._new((1, 1), len(numbers)) for name, numbers in graph.constants.items()}
        self._maps: dict[str, list[Plane]] = dict(self._constants)
        self._maps[INPUT_NAME] = self._new((height, width), graph.maps[INPUT_NAME].channels)
        self._step(_LOAD, {}, self._maps[INPUT_NAME])
        for node in graph.nodes:
            _LAYOUTS[node.op](self, node)
        logits = self._maps[OUTPUT_NAME]
        if len(logits) != 1 or logits[0].size != (height, width):
            raise EngineError(f"an image of {width}x{height} gives logits of {_sizes(logits)}")
        self._step(_STORE, {"in_": logits}, logits, write=False)
        self._place(graph)

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
        write: bool = True,
        in_size: tuple[int, int] | None = None,
        **fields,
    ) -> None:
        size = next(plane.size for plane in outputs if plane)
        self._steps.append(_Step(kind, size, reads, outputs if write else [], in_size or size, fields))

    def _same_size(self, node: Node, *maps: list[Plane]) -> tuple[int, int]:
        sizes = {plane.size for planes in maps for plane in planes}
        if len(sizes) != 1:
            raise EngineError(f"{node.op} {node.output}: maps of {_sizes([p for m in maps for p in m])}")
        return sizes.pop()

    def _keep(self, array: np.ndarray) -> int:
        array = np.ascontiguousarray(array)
        self._kept.append(array)
        return array.ctypes.data

    def _stride(self, size: tuple[int, int]) -> int:
        return -(-size[1] // LINE) * LINE + LINE

    def _offsets(self, weights: np.ndarray, dilation: int, size: tuple[int, int]) -> int:
        steps = dilation * (np.arange(weights.shape[2]) - weights.shape[2] // 2)
        return self._keep((steps[:, None] * self._stride(size) + steps).astype(np.int32))

    def _convolution(self, conv: dict, size: tuple[int, int], block: int) -> dict:
        weights, bias = _blocked(conv, block)
        return {
            "block": block,
            "taps": conv["weights"].shape[2] ** 2,
            "weights": self._keep(weights),
            "bias": self._keep(bias),
            "offsets": self._offsets(conv["weights"], conv["dilation"], size),
        }

    def _conv(self, node: Node) -> None:
        conv = node.attributes
        inputs = self._maps[node.inputs[0]]
        size = self._same_size(node, *(self._maps[name] for name in node.inputs))
        outputs = self._maps[node.output] = self._new(size, len(conv["weights"]))
        reads, mode = {"in_": inputs}, _CONV_RELU * ("relu" in conv)
        block = 1 if len(outputs) == 1 else BLOCK
        fields = self._convolution(conv, size, block)
        if len(node.inputs) == 2:
            reads["side"] = self._maps[node.inputs[1]]
            mode |= _CONV_ADD
        if "gate" in conv:
            first, first_bias, second, second_bias = conv["gate"]
            # The factors, and behind them room for means and maxima.
            self._gates[node.outputs[1]] = np.zeros(3 * len(outputs), np.float32)
            items = -(-size[0] // _band(size[0]))
            fields |= {
                "hidden": len(first),
                "gate": self._keep(self._gates[node.outputs[1]]),
                "partial": self._keep(np.zeros((items, len(outputs), 2, self._lanes), np.float32)),
                "gate_weights": self._keep(
                    np.concatenate(
                        [part.ravel() for part in (first, first_bias, second, second_bias)]
                    ).astype(np.float32)
                ),
            }
            mode |= _CONV_GATE
        made = outputs
        if "shortcut" in conv:
            shortcut = self._maps[node.outputs[1]] = self._new(size, len(conv["shortcut"]["weights"]))
            made = outputs + shortcut
            weights, bias = _blocked(conv["shortcut"], block)
            fields |= {
                "shortcuts": len(shortcut),
                "side_weights": self._keep(np.concatenate([bias, weights.ravel()])),
            }
        self._step(_CONV, reads, made, mode=mode, **fields)

    def _channels(self, node: Node) -> None:
        inputs = self._maps[node.inputs[0]]
        size = self._same_size(node, inputs)
        outputs = self._new(size, len(node.outputs))
        for name, plane in zip(node.outputs, outputs):
            self._maps[name] = [plane]
        gate = self._gates[node.inputs[1]].ctypes.data if node.op == "Channels" else None
        pairs: dict[str, list] = {
            "Channels": outputs,
            "ChannelMean": [*outputs, None],
            "ChannelMax": [None, *outputs],
        }
        self._step(_CHANNELS, {"in_": inputs}, pairs[node.op], gate=gate)

    def _attend(self, node: Node) -> None:
        mapped, _, mean, most, shortcut = (self._maps.get(name, []) for name in node.inputs)
        size = self._same_size(node, mapped, mean, most, shortcut)
        outputs = self._maps[node.output] = self._new(size, len(mapped))
        spatial, project = node.attributes["spatial"], node.attributes["shortcut"]
        side, mode = mean + most, _ATTEND_CONV * (project is not None)
        if "edge" in spatial:
            border = spatial["weights"].shape[2] // 2
            extended = self._new((size[0] + 2 * border, size[1] + 2 * border), len(side))
            self._step(_EXTEND, {"in_": side}, extended, in_size=size, taps=border)
            side, mode = extended, mode | _ATTEND_AXES
        fields = {
            "gate": self._gates[node.inputs[1]].ctypes.data,
            "side_taps": spatial["weights"].shape[2] ** 2,
            "side_weights": self._keep(np.concatenate([spatial["bias"], spatial["weights"].ravel()])),
        }
        if project:
            fields |= self._convolution(project, size, BLOCK)
        self._step(
            _ATTEND,
            {"in_": shortcut, "side": side, "gated": mapped},
            outputs,
            in_size=side[0].size,
            mode=mode,
            **fields,
        )

    def _concat(self, node: Node) -> None:
        self._maps[node.output] = [plane for name in node.inputs for plane in self._maps[name]]

    def _repeat(self, node: Node) -> None:
        planes = self._maps[node.inputs[0]]
        self._maps[node.output] = planes * abs(node.attributes["channels"]) if len(planes) == 1 else planes

    def _pointwise(self, node: Node) -> None:
        maps = [self._maps[name] for name in node.inputs]
        pooled = [planes[0].size == (1, 1) for planes in maps]
        size = self._same_size(node, *([planes for planes, one in zip(maps, pooled) if not one] or maps))
        count = max(len(planes) for planes in maps)
        maps = [planes * count if len(planes) == 1 else planes for planes in maps]
        outputs = self._maps[node.output] = self._new(size, count)
        scalar = sum(flag for flag, one in zip((_LEFT_SCALAR, _RIGHT_SCALAR), pooled) if one)
        self._step(_POINTWISE, dict(zip(("in_", "side"), maps)), outputs, mode=_POINT[node.op] | scalar)

    def _global(self, node: Node) -> None:
        inputs = self._maps[node.inputs[0]]
        size = self._same_size(node, inputs)
        outputs = self._maps[node.output] = self._new((1, 1), len(inputs))
        self._step(_GLOBAL, {"in_": inputs}, outputs, in_size=size, mode=int(node.op == "GlobalMax"))

    def _max_pool(self, node: Node) -> None:
        inputs, window = self._maps[node.inputs[0]], node.attributes["size"]
        size = self._same_size(node, inputs)
        outside = -1 if node.attributes["ceil"] else 1  # rounds the division up
        smaller = tuple(outside * (outside * side // window) for side in size)
        self._resized(node, _POOL, inputs, size, smaller, taps=window)

    def _resize(self, node: Node) -> None:
        inputs, target = self._maps[node.inputs[0]], node.attributes.get("target")
        size = self._same_size(node, inputs)
        if target is None:
            scale = node.attributes["scale"]
            scaled = int(size[0] * scale), int(size[1] * scale)
        else:
            scale, scaled = target[0] / size[0], target
            if scale * size[1] != target[1] or (scale != 0.5 and not 1 <= scale == int(scale)):
                raise unsupported(f"Resize of {_sizes(inputs)} to {target[1]}x{target[0]}")
        if max(scaled) > LARGEST_SIDE:
            raise EngineError(f"Resize {node.output}: to {scaled[1]}x{scaled[0]}")
        fields: dict[str, Any] = {}
        for name, length, source in zip(("row", "column"), scaled, size):
            first, share = _samples(length, source, scale, node.attributes["positions"])
            fields |= {f"{name}s": self._keep(first), f"{name}_shares": self._keep(share)}
        self._resized(node, _RESIZE, inputs, size, scaled, **fields)

    def _resized(
        self,
        node: Node,
        kind: int,
        inputs: list[Plane],
        size: tuple[int, int],
        scaled: tuple[int, int],
        **fields,
    ) -> None:
        if not min(scaled):
            raise EngineError(f"{node.op} {node.output}: nothing is left of {size[1]}x{size[0]}")
        outputs = self._maps[node.output] = self._new(scaled, len(inputs))
        self._step(kind, {"in_": inputs}, outputs, in_size=size, **fields)

    # Giving planes memory and steps their pointers.

    def _place(self, graph: Graph) -> None:
        slots, used = self._assign_slots()
        starts, floats = {}, LINE  # a convolution reads left of the first row of zeros
        for size, count in used.items():
            stride = self._stride(size)
            plane = (size[0] + 2 * self._halo) * stride
            starts[size] = floats + self._halo * stride, plane
            floats += count * plane + OVERRUN * stride
        self.bytes = 4 * floats
        try:
            memory = mmap.mmap(-1, self.bytes)  # zeros, and on a page
        except OSError as error:
            raise MemoryError(f"no memory for feature maps of {self.bytes >> 20} MiB") from error
        self._kept.append(memory)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))

        def address(plane: Plane | None) -> int:
            if plane is None:
                return 0
            start, step = starts[plane.size]
            return base + 4 * (start + step * slots[plane])

        for name, planes in self._constants.items():
            for constant, number in zip(planes, graph.constants[name].tolist()):
                ctypes.c_float.from_address(address(constant)).value = number
        self.ops = (Op * len(self._steps))()
        for op, step in zip(self.ops, self._steps):
            lists = {name: [address(plane) for plane in planes] for name, planes in step.reads.items()}
            lists["out"] = [address(plane) for plane in step.writes]
            for name, addresses in lists.items():
                setattr(op, name, self._keep(np.array(addresses or [0], np.uint64)))
            op.kind, op.inputs = step.kind, len(lists.get("in_", ()))
            op.outputs = (len(step.writes) or op.inputs) - step.fields.get("shortcuts", 0)
            op.side_inputs = len(lists.get("side", ()))
            op.height, op.width = step.size
            op.stride = self._stride(step.size)
            op.in_height, op.in_width = step.in_size
            op.in_stride = self._stride(step.in_size)
            op.band = _band(op.height)
            op.items = op.outputs if step.kind == _GLOBAL else -(-op.height // op.band)
            for name, value in step.fields.items():
                setattr(op, name, value)

    def _assign_slots(self) -> tuple[dict[Plane, int], dict[tuple[int, int], int]]:
        """Planes of one size that are never needed at once share memory, which keeps their borders zero."""
        last = {
            plane: index
            for index, step in enumerate(self._steps)
            for planes in step.reads.values()
            for plane in planes
        }
        slots: dict[Plane, int] = {}
        free: dict[tuple[int, int], list[int]] = {}
        used: dict[tuple[int, int], int] = {}
        constants = [plane for planes in self._constants.values() for plane in planes]

        def take(plane: Plane) -> None:
            if free.get(plane.size):
                slots[plane] = free[plane.size].pop()
            else:
                slots[plane] = used.get(plane.size, 0)
                used[plane.size] = slots[plane] + 1

        for plane in constants:
            take(plane)
            last[plane] = len(self._steps)
        for index, step in enumerate(self._steps):
            written = [plane for plane in step.writes if plane]
            for plane in written:
                take(plane)
            read = {plane for planes in step.reads.values() for plane in planes}
            for plane in sorted(read.union(written), key=lambda plane: plane.number):
                if last.get(plane, index) == index:
                    free.setdefault(plane.size, []).append(slots[plane])
        return slots, used


_LAYOUTS = {
    "Conv": Plan._conv,
    "Channels": Plan._channels,
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
    "Resize": Plan._resize,
}


def _blocked(conv: dict, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights [block of outputs][input][tap][output in block], the order in which they are read, and biases."""
    weights, bias = conv["weights"], conv["bias"]
    outputs = -(-len(weights) // block) * block
    blocked = np.zeros((outputs, *weights.shape[1:]), np.float32)
    blocked[: len(weights)] = weights
    padded = np.zeros(outputs, np.float32)
    padded[: len(bias)] = bias
    return blocked.reshape(outputs // block, block, weights.shape[1], -1).transpose(0, 2, 3, 1), padded


def _halo(graph: Graph) -> int:
    """Rows of zeros that the widest convolution reads above a map."""
    convs = [
        conv
        for node in graph.nodes
        for conv in (node.attributes, node.attributes.get("spatial"), node.attributes.get("shortcut"))
        if conv and "weights" in conv
    ]
    reach = max((conv["dilation"] * (conv["weights"].shape[2] // 2) for conv in convs), default=0)
    if reach > LINE:
        raise unsupported(f"Conv that reaches {reach} pixels, {LINE} at most")
    return max(reach, 1)


def _band(height: int) -> int:
    """Rows in an item: the same whatever the threads, so that sums are; a multiple of the tiles' height."""
    return -(-height // (4 * BANDS)) * 4


def _samples(length: int, source: int, scale: float, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """For each output position the source position before it and the share of the next one, in float32 as
    onnxruntime computes them; padded to whole vectors by the last."""
    positions = np.arange(length, dtype=np.float32)
    if mode == "align_corners":
        at = positions * np.float32(source - 1) / np.float32(max(length - 1, 1))
    else:
        at = (positions + np.float32(0.5)) / np.float32(scale) - np.float32(0.5)
        if mode == "pytorch_half_pixel" and length == 1:
            at = np.zeros_like(at)
    at = np.clip(at, 0, np.float32(source - 1))
    first = np.floor(at).astype(np.int32)
    share = (at - first).astype(np.float32)
    padding = (0, -length % LINE)
    return np.pad(first, padding, mode="edge"), np.pad(share, padding, mode="edge")


def _sizes(planes: list[Plane]) -> str:
    return ", ".join(f"{width}x{height}" for height, width in sorted({plane.size for plane in planes}))
