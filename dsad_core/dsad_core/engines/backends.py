"""The runtimes that can run an engine, and which of them this machine has.

A backend is a module with ``requirements(options)``, everything it needs, found or not, and
``open_engine(folder, manifest, options, threads)``. One that builds files on the device for a frame size
(height, width) also has ``build(folder, manifest, options, size)``, which returns the file's path, and
``stale(folder, manifest, options, size)``, which says why it would have to be built, or None. Modules are
imported when they are asked for, and import what is heavy or optional later still.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from dsad_core.engines.manifest import Manifest
from dsad_core.engines.platform import Backend, Platform, effective_precision, load_platform
from dsad_core.engines.protocol import Engine
from dsad_core.errors import NotInstalledError, UnsupportedModelError, UsageError
from dsad_core.hardware import Finding, device

_MODULES: dict[Backend, str] = {
    "acl": "dsad_core.engines.acl",
    "direct": "dsad_core.engines.direct",
    "onnxruntime": "dsad_core.engines.onnx_runtime",
    "openvino": "dsad_core.engines.openvino",
    "tensorrt": "dsad_core.engines.tensorrt",
}
BACKENDS: tuple[Backend, ...] = tuple(_MODULES)


@dataclass(frozen=True)
class EngineRequest:
    """What is to run, on what: found and verified before anything is opened.

    Attributes:
        folder: of the engine.
        backends: to try, in order of preference.
        threads: CPU threads.
    """

    folder: Path
    manifest: Manifest
    platform: Platform
    backends: tuple[Backend, ...]
    threads: int


@dataclass(frozen=True)
class PlatformCheck:
    """What a platform needs of this machine, found or not.

    Attributes:
        device: hardware and driver, needed by every backend.
        backends: what each needs beside them, in the platform's file's order of preference.
    """

    platform: Platform
    device: list[Finding]
    backends: dict[Backend, list[Finding]]

    @property
    def usable(self) -> list[Backend]:
        """Backends that can run here."""
        if not all(finding.ok for finding in self.device):
            return []
        return [name for name, findings in self.backends.items() if all(finding.ok for finding in findings)]

    def require(self) -> None:
        """Raises NotInstalledError, with everything that is missing in one line, where no backend can run."""
        if not self.usable:
            missing = {name: describe_missing(findings) for name, findings in self.backends.items()}
            raise cannot_run(self.platform, describe_missing(self.device), missing)


def backend_module(name: Backend) -> ModuleType:
    """The module of a backend."""
    return import_module(_MODULES[name])


def open_backend(name: Backend, request: EngineRequest) -> Engine:
    """The engine on one backend.

    Raises:
        NotInstalledError: this machine lacks what the backend needs.
        UnsupportedModelError: the backend cannot take the model.
        DsadError: it fails.
    """
    module = backend_module(name)
    if missing := describe_missing(module.requirements(request.platform)):
        raise NotInstalledError(missing)
    refuse_foreign_program(name, request.manifest)
    engine = module.open_engine(request.folder, request.manifest, request.platform, request.threads)
    engine.backend, engine.precision = name, effective_precision(request.manifest, request.platform)
    engine.passed_over, engine.folder = (), request.folder
    return engine


def refuse_foreign_program(name: Backend, manifest: Manifest) -> None:
    """Raises UnsupportedModelError where the engine's precision is that of a program for another backend."""
    if manifest.float32_on_bytes and name != "direct":
        raise UnsupportedModelError(
            "its 8-bit integers are a program of backend direct, its model is float32"
        )


def check_platform(platform: str, backend: Backend | None = None) -> PlatformCheck:
    """Look for everything that the platform's backends, or the one given, need.

    Raises:
        PlatformError: no such platform.
        EngineError: the platform's file is missing or malformed.
        UsageError: no such backend.
    """
    options = load_platform(platform)
    names = choose_backends(options, backend)
    needs = {name: backend_module(name).requirements(options) for name in names}
    return PlatformCheck(options, device(platform), needs)


def cannot_run(platform: Platform, device: str, backends: Mapping[Backend, object]) -> NotInstalledError:
    """The error that names all that is missing: of the device, else of each backend."""
    missing = device or "; or ".join(f"for {name}: {reason}" for name, reason in backends.items())
    return NotInstalledError(f"target {platform.platform} cannot run on this machine, missing: {missing}")


def choose_backends(options: Platform, backend: Backend | None) -> tuple[Backend, ...]:
    """The backends to try: those of the platform's file, or the one given alone."""
    if backend is None:
        return options.backends
    if backend not in BACKENDS:
        raise UsageError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    return (backend,)


def describe_missing(findings: list[Finding]) -> str:
    """What is missing and how to get it; '' where nothing is."""
    return "; ".join(f"{finding.what} ({finding.hint})" for finding in findings if not finding.ok)
