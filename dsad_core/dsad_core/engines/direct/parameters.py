"""Arrays of parameters in the order in which the kernels read them."""

from collections.abc import Callable

import numpy as np

from dsad_core.engines.direct.graph import Graph, unsupported

#: Rows start on a cache line, and so many zeros at least lie between two of them.
LINE = 16
#: Output channels that a convolution sums up at once.
BLOCK = 4
#: The points, beside 0 and infinity, at which winograd.hpp multiplies.
_POINTS = 0.625, 1.5


def blocked(conv: dict, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights [block of outputs][input][tap][output in block], the order in which they are read, and biases."""
    weights, bias = conv["weights"], conv["bias"]
    outputs = -(-len(weights) // block) * block
    blocked = np.zeros((outputs, *weights.shape[1:]), np.float32)
    blocked[: len(weights)] = weights
    padded = np.zeros(outputs, np.float32)
    padded[: len(bias)] = bias
    return blocked.reshape(outputs // block, block, weights.shape[1], -1).transpose(0, 2, 3, 1), padded


def winograd(conv: dict) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a 3x3 convolution [block of outputs][point][input][tap along the row][output in block], and
    biases, for winograd.hpp."""
    weights, bias = blocked(conv, BLOCK)
    near, far = _POINTS
    points = [0, near, -near, far, -far]
    # Values of a column's polynomial at the points, over what the transform of the inputs left out.
    others = [np.prod([point - other for other in points if other != point]) for point in points]
    evaluate = [[1 / rest, point / rest, point**2 / rest] for point, rest in zip(points, others)] + [
        [0, 0, 1]
    ]
    columns = weights.reshape(*weights.shape[:2], 3, 3 * BLOCK)
    return np.matmul(np.array(evaluate), columns).swapaxes(1, 2).astype(np.float32), bias


class Weights:
    """Weights of convolutions in the kernels' order: the same for every size of image, so they are made once."""

    def __init__(self):
        self._made: dict[tuple, tuple] = {}

    def blocked(self, conv: dict, block: int) -> tuple[np.ndarray, np.ndarray]:
        """See the function."""
        return self._once(blocked, conv, block)

    def winograd(self, conv: dict) -> tuple[np.ndarray, np.ndarray]:
        """See the function."""
        return self._once(winograd, conv)

    def _once(self, make: Callable, conv: dict, *options: int) -> tuple[np.ndarray, np.ndarray]:
        key = make, id(conv), *options
        if key not in self._made:
            # The convolution is kept, too: its number stays its own.
            self._made[key] = conv, tuple(np.ascontiguousarray(array) for array in make(conv, *options))
        return self._made[key][1]


def halo(graph: Graph) -> int:
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


def samples(length: int, source: int, scale: float, mode: str) -> tuple[np.ndarray, np.ndarray]:
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
