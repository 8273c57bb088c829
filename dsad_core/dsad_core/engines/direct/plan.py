"""Lay a graph out for one size of image: which operators run on which planes, with which parameters."""

import ctypes

from dsad_core.engines.direct.draft import Draft, sizes
from dsad_core.engines.direct.graph import Graph
from dsad_core.engines.direct.kinds import STREAM, Kind
from dsad_core.engines.direct.library import Op
from dsad_core.engines.direct.operators import LARGEST_SIDE, LAYOUTS
from dsad_core.engines.direct.parameters import Weights, halo
from dsad_core.engines.direct.planes import LARGE, Memory, Step, fill, stride
from dsad_core.engines.manifest import INPUT_NAME, OUTPUT_NAME
from dsad_core.errors import EngineError

#: Bytes of a plane from which on it is written past the caches, where all planes together are large.
_STREAMED = 128 << 10


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
        draft = Draft(lanes, weights or Weights())
        constants = {name: draft.new((1, 1), len(numbers)) for name, numbers in graph.constants.items()}
        draft.maps |= constants
        draft.maps[INPUT_NAME] = draft.new((height, width), graph.maps[INPUT_NAME].channels)
        draft.step(Kind.LOAD, {}, draft.maps[INPUT_NAME])
        for node in graph.nodes:
            LAYOUTS[node.op](draft, node)
        logits = draft.planes(OUTPUT_NAME)
        if len(logits) != 1 or logits[0].size != (height, width):
            raise EngineError(f"an image of {width}x{height} gives logits of {sizes(logits)}")
        draft.step(Kind.STORE, {"in_": logits}, logits, write=False)
        memory = Memory(draft.steps, [p for planes in constants.values() for p in planes], halo(graph))
        for name, planes in constants.items():
            for plane, number in zip(planes, graph.constants[name].tolist()):
                ctypes.c_float.from_address(memory.address(plane)).value = number
        self.bytes, self.multiplications = memory.bytes, draft.multiplications
        self.ops = (Op * len(draft.steps))()
        self._kept = [*draft.kept, draft.gates, memory]  # what the operators point into
        for op, step in zip(self.ops, draft.steps):
            if self.bytes >= LARGE and _streams(step):
                step.fields["mode"] |= STREAM
            self._kept += fill(op, step, memory)


def _streams(step: Step) -> bool:
    """Whether the kernel can write past the caches, and a plane of its outputs is large."""
    can = step.kind in (Kind.CONV, Kind.WINOGRAD, Kind.ATTEND, Kind.CONV_BYTES)
    return can and 4 * step.size[0] * stride(step.size) >= _STREAMED
