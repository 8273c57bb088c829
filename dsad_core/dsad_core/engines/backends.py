"""The runtimes that can run an engine, and which of them this machine has.

A backend is a module with ``requirements(options)``, everything it needs, found or not, and
``open_engine(folder, manifest, options, threads)``. One that builds files on the device for a frame size
(height, width) also has ``build(folder, manifest, options, size)``, which returns the file's path, and
``stale(folder, manifest, options, size)``, which says why it would have to be built, or None. Modules are
imported when they are asked for, and import what is heavy or optional later still.
"""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from dsad_core.engines.platform import Backend, Platform, load_platform
from dsad_core.errors import PlatformError, UsageError
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
class PlatformCheck:
    """What a platform needs of this machine, found or not.

    Attributes:
        device: hardware and driver, needed by every backend.
        backends: what each needs beside them, in the platform's file's order of preference.
    """

    platform: str
    device: list[Finding]
    backends: dict[Backend, list[Finding]]

    @property
    def usable(self) -> list[Backend]:
        """Backends that can run here."""
        if not all(finding.ok for finding in self.device):
            return []
        return [name for name, findings in self.backends.items() if all(finding.ok for finding in findings)]

    def missing(self) -> str:
        """Everything that is missing, in one line."""
        if absent := describe_missing(self.device):
            return absent
        return "; or ".join(
            f"for {name}: {describe_missing(findings)}" for name, findings in self.backends.items()
        )


def backend_module(name: Backend) -> ModuleType:
    """The module of a backend."""
    return import_module(_MODULES[name])


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
    return PlatformCheck(platform, device(platform), needs)


def require_platform(platform: str, backend: Backend | None = None) -> PlatformCheck:
    """The platform's check where it can run; else one line that says everything missing.

    Raises:
        PlatformError: no such platform, or something is missing.
        EngineError, UsageError: as ``check_platform``.
    """
    check = check_platform(platform, backend)
    if not check.usable:
        raise PlatformError(f"target {platform} cannot run on this machine, missing: {check.missing()}")
    return check


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
