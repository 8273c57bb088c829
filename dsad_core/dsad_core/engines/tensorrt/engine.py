"""An engine run by TensorRT on the GPU."""

from pathlib import Path

from dsad_core.engines.cache import shared_file
from dsad_core.engines.manifest import Manifest
from dsad_core.engines.planned import PlannedEngine
from dsad_core.engines.platform import Platform
from dsad_core.engines.tensorrt import build
from dsad_core.engines.tensorrt.api import require_api
from dsad_core.engines.tensorrt.cuda import Cuda, find_device
from dsad_core.engines.tensorrt.plan import parse, plan_key
from dsad_core.engines.tensorrt.session import Session
from dsad_core.errors import PlatformError


class TensorRtEngine(PlannedEngine):
    """An engine folder on TensorRT; see ``planned.PlannedEngine``.

    A model of fixed size is built, where need be, when it is opened; else the first frame of a size waits.

    Args:
        folder: holds the verified ``model.onnx``.
        options: the platform's precision is what a float32 model is computed in, where TensorRT can.

    Raises:
        PlatformError: TensorRT, cuda-python or the GPU is missing.
        UnsupportedModelError: a precision or an operator that this TensorRT lacks.
        EngineError: the model is not what an engine must be.
    """

    def __init__(self, folder: Path, manifest: Manifest, options: Platform):
        super().__init__(manifest, options.platform)
        self._folder, self._options = folder, options
        self._api, self._cuda, device = require_api(), Cuda(), find_device()
        if device is None:
            raise PlatformError(
                f"{self._api.name}: no NVIDIA GPU answers, or its driver is too old for cuda-python"
            )
        smallest = manifest.size or (manifest.size_multiple, manifest.size_multiple)
        key = plan_key(self._api, device, manifest, options, smallest)
        # Before any frame comes: what TensorRT cannot take is for another backend.
        parse(
            self._api,
            self._api.builder(),
            folder,
            manifest,
            self._api.typing(manifest.precision, key.precision),
        )
        self._kernels = shared_file("kernels", key.runtime, key.device, key.driver, key.model)
        self._runtime = self._api.trt.Runtime(self._api.logger)
        self.description = f"{self._api.name} {key.precision} on {device.name}"
        if manifest.size is not None:
            self._sessions.get(manifest.size)

    def close(self) -> None:
        super().close()
        self._runtime = None

    def _enter_thread(self) -> None:
        # Cheap, and another library may have made another device current.
        self._cuda("cudaSetDevice", 0)

    def _build(self, size: tuple[int, int], renew: bool) -> Path:
        return build(self._folder, self.manifest, self._options, size, renew=renew)

    def _open(self, plan: Path, size: tuple[int, int]) -> Session:
        session = Session(
            self._api,
            self._cuda,
            self._runtime,
            plan.read_bytes(),
            (1, self.manifest.input_channels, *size),
            self._kernels,
        )
        if session.no_graph and "CUDA graph" not in self.description:
            self.description += f", without CUDA graph ({session.no_graph})"
        return session
