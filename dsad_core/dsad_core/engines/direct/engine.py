"""Engines run by our own kernels on the CPU."""

from pathlib import Path

import numpy as np

from dsad_core.engines.direct.graph import Graph
from dsad_core.engines.direct.library import load_kernels
from dsad_core.engines.direct.parameters import Weights
from dsad_core.engines.direct.plan import Plan
from dsad_core.engines.direct.program import read_program
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, Manifest
from dsad_core.engines.platform import Platform, effective_precision
from dsad_core.engines.sessions import Sessions
from dsad_core.engines.tensor import check_tensor
from dsad_core.errors import EngineError, UnsupportedModelError


class DirectEngine:
    """An engine folder run by the compiled kernels; see ``protocol.Engine``.

    Raises:
        PlatformError: the kernels are not there.
        UnsupportedModelError: the model needs what they lack.
        EngineError: the model is damaged.
    """

    builds = False

    def __init__(self, folder: Path, manifest: Manifest, options: Platform, threads: int):
        precision = effective_precision(manifest, options)
        in_bytes = manifest.float32_on_bytes
        if precision != "fp32" and not in_bytes:
            raise UnsupportedModelError(f"direct kernels compute in fp32, not {precision}")
        self.manifest = manifest
        self.platform = options.platform
        self._kernels = load_kernels()
        if in_bytes and not self._kernels.bytes:
            raise UnsupportedModelError(
                f"{manifest.name} runs on 8-bit integers, which need a CPU with AVX-512 VNNI; take the float32 engine"
            )
        self._graph = load_graph(folder, manifest)
        if in_bytes != any(node.op == "ConvBytes" for node in self._graph.nodes):
            raise EngineError(
                f"{folder}: its manifest says {manifest.precision}, its program does not; compile it anew"
            )
        channels = self._graph.maps[INPUT_NAME].channels
        if channels != manifest.input_channels:
            raise EngineError(
                f"{folder / MODEL_FILE}: {INPUT_NAME} has {channels} channels, the manifest "
                f"needs {manifest.input_channels}"
            )
        self._weights = Weights()
        self._plans = Sessions(self._plan_for)
        if manifest.program_sha256 is None:
            self._plans.get(least_size(manifest))
        self._pool: int | None = self._kernels.open_pool(threads)
        kind = f"{self._kernels.name}, int8" if in_bytes else self._kernels.name
        self.description = f"direct kernels ({kind}), {threads} thread{'s' if threads > 1 else ''}"

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        check_tensor(self.manifest, tensor)
        if self._pool is None:
            raise EngineError(f"engine {self.manifest.name} is closed")
        plan, logits = self._plans.get(tensor.shape[2:])
        try:
            self._kernels.run(self._pool, plan.ops, tensor, logits)
        except MemoryError as error:
            raise EngineError(f"engine {self.manifest.name}: {error}") from error
        return logits

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            self._kernels.close_pool(pool)
            self._plans.close()
            del self._graph, self._weights

    def _plan_for(self, size: tuple[int, int]) -> tuple[Plan, np.ndarray]:
        height, width = size
        try:
            return self._laid_out(height, width)
        except MemoryError:
            self._plans.close()  # what other sizes hold may be what is missing
        try:
            return self._laid_out(height, width)
        except MemoryError as error:
            raise EngineError(f"engine {self.manifest.name} on {width}x{height}: {error}") from error

    def _laid_out(self, height: int, width: int) -> tuple[Plan, np.ndarray]:
        return Plan(self._graph, height, width, self._kernels.lanes, self._weights), np.empty(
            (height, width), np.float32
        )


def least_size(manifest: Manifest) -> tuple[int, int]:
    """(height, width) of a small image; laying it out shows whether the maps of a graph fit together."""
    return manifest.size or (4 * manifest.size_multiple,) * 2


def load_graph(folder: Path, manifest: Manifest) -> Graph:
    """The engine's program; an engine that ships none is read and fused here, which takes longer.

    Raises:
        UnsupportedModelError: the kernels lack something that the model needs.
        EngineError: a file is missing or damaged.
    """
    if manifest.program_sha256 is not None:
        return read_program(folder, manifest.sha256)
    from dsad_core.engines.direct.fuse import fuse
    from dsad_core.engines.direct.reader import read_graph

    return fuse(read_graph(folder / MODEL_FILE))
