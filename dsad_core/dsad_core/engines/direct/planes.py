"""Planes of memory, and the steps that read and write them, before either has an address."""

import ctypes
import mmap
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from dsad_core.engines.direct.library import Op, Sampling
from dsad_core.engines.direct.parameters import LINE

#: About as many bands an operator: enough for eight threads to share, few enough to cost nothing.
_BANDS = 16
#: Bytes of planes from which on they find no room in the caches: a plane is gone before it is read again, and large
#: pages save more than it takes to clear them.
LARGE = 32 << 20
#: Rows below the last plane that the kernels may read, though they do not use them.
_OVERRUN = 8


@dataclass(eq=False)  # a plane is itself, and is looked up often
class Plane:
    """One channel of a map: the ``number``-th plane made of ``size`` (height, width)."""

    size: tuple[int, int]
    number: int


@dataclass(eq=False)
class Sampled:
    """One channel of a map that its reader samples from another plane, so that it need not lie in memory."""

    size: tuple[int, int]
    source: Plane
    sampling: Sampling


@dataclass
class Step:
    """One operator.

    Attributes:
        kind: of the enumeration in program.hpp.
        size: (height, width) of its output, which its items are bands of.
        reads: planes by the field of ``Op`` that points to them.
        writes: planes, None for one that is not wanted.
        in_size: of the planes that it reads, where that matters.
        items: how many, unless they are bands.
        fields: other fields of ``Op``.
    """

    kind: int
    size: tuple[int, int]
    reads: dict[str, list[Plane]]
    writes: list[Plane | None]
    in_size: tuple[int, int]
    fields: dict
    items: int | None = None


class Memory:
    """Memory for the planes of some steps; planes that are never needed at once share it.

    Attributes:
        bytes: of all planes.

    Raises:
        MemoryError: there is not as much.
    """

    def __init__(self, steps: list[Step], constants: list[Plane], halo: int):
        self._slots, used = _assign_slots(steps, constants)
        self._starts, floats = {}, LINE  # a convolution reads left of the first row of zeros
        for size, count in used.items():
            plane = (size[0] + 2 * halo) * stride(size)
            self._starts[size] = floats + halo * stride(size), plane
            floats += count * plane + _OVERRUN * stride(size)
        self.bytes = 4 * floats
        try:
            # Zeros, and on a page. Private, because shared memory has no large pages.
            self._memory = mmap.mmap(-1, self.bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"no memory for feature maps of {self.bytes >> 20} MiB") from error
        if self.bytes >= LARGE:
            with suppress(OSError):  # a kernel without them
                self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))

    def address(self, plane: Plane | None) -> int:
        """Of its first pixel; 0 for None."""
        if plane is None:
            return 0
        start, step = self._starts[plane.size]
        return self._base + 4 * (start + step * self._slots[plane])


def fill(op: Op, step: Step, memory: Memory) -> list[np.ndarray]:
    """Fill in an operator; returns the arrays that it points into, which have to be kept."""
    lists = {name: [memory.address(plane) for plane in planes] for name, planes in step.reads.items()}
    lists["out"] = [memory.address(plane) for plane in step.writes]
    arrays = [np.array(addresses or [0], np.uint64) for addresses in lists.values()]
    for name, array in zip(lists, arrays):
        setattr(op, name, array.ctypes.data)
    op.kind, op.inputs = step.kind, len(lists.get("in_", ()))
    op.outputs = (len(step.writes) or op.inputs) - step.fields.get("shortcuts", 0)
    op.side_inputs = len(lists.get("side", ()))
    op.height, op.width = step.size
    op.stride = stride(step.size)
    op.in_height, op.in_width = step.in_size
    op.in_stride = stride(step.in_size)
    op.band = band(op.height)
    op.items = step.items or -(-op.height // op.band)
    for name, value in step.fields.items():
        setattr(op, name, value)
    return arrays


def stride(size: tuple[int, int]) -> int:
    """Floats from one row to the next."""
    return -(-size[1] // LINE) * LINE + LINE


def band(height: int) -> int:
    """Rows in an item: the same whatever the threads, so that sums are; a multiple of the tiles' height."""
    return -(-height // (4 * _BANDS)) * 4


def _assign_slots(
    steps: list[Step], constants: list[Plane]
) -> tuple[dict[Plane, int], dict[tuple[int, int], int]]:
    """The place of each plane among those of its size, and how many places there are: their borders stay zero."""
    last = {
        plane: index for index, step in enumerate(steps) for planes in step.reads.values() for plane in planes
    }
    slots: dict[Plane, int] = {}
    free: dict[tuple[int, int], list[int]] = {}
    used: dict[tuple[int, int], int] = {}

    def take(plane: Plane) -> None:
        if free.get(plane.size):
            slots[plane] = free[plane.size].pop()
        else:
            slots[plane] = used.get(plane.size, 0)
            used[plane.size] = slots[plane] + 1

    for plane in constants:
        take(plane)
        last[plane] = len(steps)
    for index, step in enumerate(steps):
        written = [plane for plane in step.writes if plane]
        for plane in written:
            take(plane)
        read = {plane for planes in step.reads.values() for plane in planes}
        for plane in sorted(read.union(written), key=lambda plane: plane.number):
            if last.get(plane, index) == index:
                free.setdefault(plane.size, []).append(slots[plane])
    return slots, used
