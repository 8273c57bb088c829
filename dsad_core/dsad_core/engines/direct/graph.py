"""A network as the few operators that the kernels know."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsad_core.errors import EngineError, UnsupportedModelError

#: The kernels count items in 16 bits.
_MOST_CHANNELS = 0xFFFF
#: Weights of spatial attention that there are kernels for: of CBAM; of DSA, the least of four axes.
SPATIAL_SHAPES = ((1, 2, 3, 3), (1, 2, 7, 7)), ((4, 2, 7, 7),)


@dataclass(eq=False)  # an operator is itself, not another that looks the same; and fusing compares many
class Node:
    """One operator: ``outputs`` = ``op`` of ``inputs``, all of them names of maps or of ``Graph.constants``.

    Attributes:
        op: Conv, Relu, Sigmoid, Add, Mul, Concat, Repeat, GlobalMean, GlobalMax, ChannelMean, ChannelMax,
            ChannelMin, Resize, MaxPool, GroupNorm; and what ``fuse`` adds: Channels, Attend.
        attributes: by operator, see ``reader`` and ``fuse``.
    """

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        return self.outputs[0]


@dataclass(frozen=True)
class Map:
    """What is known of a feature map whatever the size of the image.

    Attributes:
        channels: how many.
        pooled: it is one pixel, of the whole image.
    """

    channels: int
    pooled: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.channels <= _MOST_CHANNELS:
            raise unsupported(f"maps of {self.channels} channels")


@dataclass
class Graph:
    """Operators in an order in which they can run, from the map INPUT_NAME to the map OUTPUT_NAME.

    Attributes:
        maps: by name, those of the input and of the constants included.
        constants: (C,) float32 by name; one number a channel.
    """

    nodes: list[Node]
    maps: dict[str, Map]
    constants: dict[str, np.ndarray]


def map_of(op: str, maps: list[Map], attributes: dict[str, Any]) -> Map:
    """The map that an operator makes of others; EngineError where they do not fit."""
    channels, pooled = [each.channels for each in maps], [each.pooled for each in maps]
    if op == "Concat" and len(set(pooled)) == 1:
        return Map(sum(channels), pooled[0])
    if op in ("Add", "Mul") and len(maps) == 2 and (len(set(channels)) == 1 or 1 in channels):
        return Map(max(channels), all(pooled))
    if op == "Conv" and channels[0] == attributes["weights"].shape[1]:
        return Map(len(attributes["weights"]), pooled[0])
    if op == "Repeat" and (channels[0] == 1 or abs(attributes["channels"]) in (1, channels[0])):
        return Map(max(channels[0], abs(attributes["channels"])), pooled[0])
    if op in ("Relu", "Sigmoid"):
        return maps[0]
    if op in ("GlobalMean", "GlobalMax"):
        return Map(channels[0], pooled=True)
    if op in ("ChannelMean", "ChannelMax", "ChannelMin"):
        return Map(1, pooled[0])
    if op in ("Resize", "MaxPool"):
        if pooled[0]:
            raise unsupported(f"{op} of a pooled map")
        return maps[0]
    groups = attributes.get("groups", 0)
    fits = op == "GroupNorm" and not pooled[0] and 0 < groups <= channels[0] and channels[0] % groups == 0
    if fits and attributes["epsilon"] > 0:
        return maps[0]
    raise EngineError(f"{op} of maps that do not fit together: {channels} channels, pooled {pooled}")


def unsupported(what: str) -> UnsupportedModelError:
    """The error for what there is no kernel for."""
    return UnsupportedModelError(f"direct kernels have no {what}")
