"""A plan on its way: the steps so far, the planes of each map, and the arrays that the steps point into."""

import ctypes
from itertools import groupby

import numpy as np

from dsad_core.engines.direct.graph import Node
from dsad_core.engines.direct.kinds import CONV_GATE, Kind
from dsad_core.engines.direct.library import Sampling
from dsad_core.engines.direct.parameters import Weights
from dsad_core.engines.direct.planes import Plane, Sampled, Step, band
from dsad_core.errors import EngineError


class Draft:
    """What the operators of a graph are laid out into, one after another.

    Args:
        lanes: floats in a vector of the kernels.
        weights: of the graph.

    Attributes:
        maps: the planes of each map, by its name.
        gates: by name, the factors of channel attention, and behind them room for means and maxima.
        steps: in their order.
        kept: arrays that the steps point into.
        multiplications: multiply-adds so far, every convolution summed directly.
    """

    def __init__(self, lanes: int, weights: Weights):
        self.lanes, self.weights = lanes, weights
        self.maps: dict[str, list] = {}
        self.gates: dict[str, np.ndarray] = {}
        self.steps: list[Step] = []
        self.kept: list = []
        self.multiplications = 0
        self._count: dict[tuple[int, int], int] = {}
        self._sampled: dict[Sampled, Plane] = {}  # those that some reader needs in memory

    def new(self, size: tuple[int, int], count: int) -> list[Plane]:
        """Planes of (height, width) that nothing else has."""
        first = self._count.get(size, 0)
        self._count[size] = first + count
        return [Plane(size, number) for number in range(first, first + count)]

    def step(
        self,
        kind: Kind,
        reads: dict[str, list[Plane]],
        outputs: list,
        /,  # a field may have one of these names
        write: bool = True,
        in_size: tuple[int, int] | None = None,
        items: int | None = None,
        **fields,
    ) -> None:
        """Add a step; see `planes.Step`."""
        size = next(plane.size for plane in outputs if plane)
        self.steps.append(Step(kind, size, reads, outputs if write else [], in_size or size, fields, items))

    def planes(self, name: str) -> list[Plane]:
        """The planes of a map, after those that would be sampled from others have been made."""
        missing = [each for each in self.maps[name] if not self.in_memory(each)]
        for _, members in groupby(missing, lambda each: id(each.sampling)):
            group = list(members)
            made = self.new(group[0].size, len(group))
            sources = [each.source for each in group]
            self.step(Kind.RESIZE, {"in_": sources}, made, sampling=self.pointers([group[0].sampling]))
            self._sampled.update(zip(group, made))
        return [self.made(each) for each in self.maps[name]]

    def in_memory(self, plane: Plane | Sampled) -> bool:
        """Whether it lies in memory, sampled or not."""
        return not isinstance(plane, Sampled) or plane in self._sampled

    def made(self, plane: Plane | Sampled) -> Plane:
        """What lies in memory of a plane that does."""
        return self._sampled[plane] if isinstance(plane, Sampled) else plane

    def same_size(self, node: Node, *maps: list) -> tuple[int, int]:
        """The one size of all maps.

        Raises:
            EngineError: they differ.
        """
        planes = [plane for each in maps for plane in each]
        if len({plane.size for plane in planes}) != 1:
            raise EngineError(f"{node.op} {node.output}: maps of {sizes(planes)}")
        return planes[0].size

    def keep(self, array: np.ndarray) -> int:
        """The address of the array, which stays as long as the plan."""
        array = np.ascontiguousarray(array)
        self.kept.append(array)
        return array.ctypes.data

    def pointers(self, samplings: list[Sampling | None]) -> int:
        """The address of a list of pointers."""
        self.kept.append(samplings)
        return self.keep(np.array([ctypes.addressof(each) if each else 0 for each in samplings], np.uint64))

    def gate(self, node: Node, size: tuple[int, int]) -> tuple[dict, int]:
        """Fields and mode of a convolution that makes the factors of channel attention, its second output."""
        first, first_bias, second, second_bias = node.attributes["gate"]
        channels = len(second_bias)
        # The factors, and behind them room for means and maxima.
        self.gates[node.outputs[1]] = np.zeros(3 * channels, np.float32)
        items = -(-size[0] // band(size[0]))
        numbers = [part.ravel() for part in (first, first_bias, second, second_bias)]
        return {
            "hidden": len(first),
            "gate": self.keep(self.gates[node.outputs[1]]),
            "partial": self.keep(np.zeros((items, channels, 2, self.lanes), np.float32)),
            "gate_weights": self.keep(np.concatenate(numbers).astype(np.float32)),
        }, CONV_GATE

    def count(self, size: tuple[int, int], *convs: dict | None) -> None:
        """Add what convolutions multiply."""
        self.multiplications += size[0] * size[1] * sum(conv["weights"].size for conv in convs if conv)


def sizes(planes: list) -> str:
    """For people: widths and heights among the planes."""
    return ", ".join(f"{width}x{height}" for height, width in sorted({plane.size for plane in planes}))
