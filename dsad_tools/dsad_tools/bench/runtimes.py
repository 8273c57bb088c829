"""Ways of running a network: this suite's backends, and what they are held against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from dsad_core.engines.backends import (
    backend_module,
    check_platform,
    choose_backends,
    refuse_foreign_program,
)
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, Manifest, Precision, load_manifest
from dsad_core.engines.platform import Backend, load_platform
from dsad_core.errors import EngineError, PlatformError, one_line
from dsad_core.plugins import plugins
from dsad_tools.bench.apart import Apart
from dsad_tools.bench.models import Model
from dsad_tools.bench.peers import open_mnn, open_ncnn, open_openvino_bf16
from dsad_tools.bench.turn import Contender


@dataclass(frozen=True)
class Runtime:
    """One way of running a network.

    Attributes:
        name: what tables call it; unique.
        ours: a backend of this suite, not something that it is held against.
        open: ``(model, platform, threads, (height, width)) -> Contender``, ready for frames of that size;
            raises a DsadError that says in one line why it cannot.
        apart: it takes its turns in a process of its own; ``open`` is then picklable.
    """

    name: str
    ours: bool
    open: Callable[[Model, str, int, tuple[int, int]], Contender]
    apart: bool = False

    def start(self, model: Model, platform: str, threads: int, size: tuple[int, int]) -> Contender:
        """``open`` it where it is to run."""
        arguments = model, platform, threads, size
        return Apart(self.open, *arguments) if self.apart else self.open(*arguments)


def runtimes(platform: str, backends: list[str], precisions: tuple[Precision, ...] = ()) -> list[Runtime]:
    """Plain onnxruntime, what other packages offer, and the backends that are named or all of the platform.

    Each backend runs the engine itself, and that of each of ``precisions`` if there is one.

    The first that can run is what the others are compared with. Another package offers its own as a
    plugin of kind ``contender``.

    Raises:
        PlatformError: no such platform.
        UsageError: no such backend.
    """
    options = load_platform(platform)
    asked: Sequence[Any] = backends or [None]
    names = [name for backend in asked for name in choose_backends(options, backend)]
    return [
        Runtime("plain onnxruntime", False, _open_plain),
        Runtime("openvino bf16 hint", False, open_openvino_bf16, apart=True),
        Runtime("MNN", False, open_mnn, apart=True),
        Runtime("ncnn", False, open_ncnn, apart=True),
        *(runtime for entry in plugins("contender").values() for runtime in entry.load()(platform)),
        *(
            Runtime(" ".join(filter(None, (name, precision))), True, partial(_open_backend, name, precision))
            for name in dict.fromkeys(names)
            for precision in (None, *precisions)
        ),
    ]


def _open_plain(model: Model, platform: str, threads: int, size: tuple[int, int]) -> Contender:
    return PlainOnnxRuntime(model.engine / MODEL_FILE, model.manifest, platform, threads)


def _open_backend(
    name: Backend,
    precision: Precision | None,
    model: Model,
    platform: str,
    threads: int,
    size: tuple[int, int],
) -> Contender:
    check = check_platform(platform, name)
    missing = [finding.what for finding in [*check.device, *check.backends[name]] if not finding.ok]
    if missing:
        raise PlatformError(f"missing: {', '.join(missing)} (see dsad doctor)")
    folder = model.compiled_to(precision) if precision else model.engine
    manifest, options, module = load_manifest(folder), check.platform, backend_module(name)
    refuse_foreign_program(name, manifest)
    if hasattr(module, "build"):
        module.build(folder, manifest, options, size)
    return module.open_engine(folder, manifest, options, threads)


class PlainOnnxRuntime:
    """An ONNX file as a user runs it without this suite: onnxruntime's defaults but for the threads.

    That is every graph optimisation, threads that spin, and an output allocated at each call. See
    ``Contender``.

    Args:
        model: has an engine's input and output.
        manifest: of the engine that it is held against.

    Raises:
        PlatformError: this onnxruntime lacks the platform's execution provider.
        EngineError: it cannot load the model.
    """

    builds = False

    def __init__(self, model: Path, manifest: Manifest, platform: str, threads: int):
        provider = load_platform(platform).onnxruntime.provider
        if provider not in onnxruntime.get_available_providers():
            raise PlatformError(f"this onnxruntime has no {provider}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.manifest = manifest
        self.platform = platform
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=[provider])
        except Exception as error:  # onnxruntime's own errors share no other base
            raise EngineError(f"onnxruntime cannot load it: {one_line(error)}") from error
        if self._session.get_providers()[0] != provider:
            raise PlatformError(f"{provider} did not start, onnxruntime fell back to the CPU")
        self.description = f"onnxruntime {onnxruntime.__version__} {provider}"

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        try:
            return self._session.run(None, {INPUT_NAME: tensor})[0][0, 0]
        except Exception as error:  # onnxruntime's own errors share no other base
            raise EngineError(f"onnxruntime failed: {one_line(error)}") from error

    def close(self) -> None:
        self._session = None
