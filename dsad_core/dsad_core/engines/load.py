"""From an engine's name to an engine that runs."""

from pathlib import Path

from dsad_core.engines.backends import (
    EngineRequest,
    cannot_run,
    choose_backends,
    describe_missing,
    open_backend,
)
from dsad_core.engines.locate import CHECKPOINT_SUFFIX, find_checkpoint, find_engine
from dsad_core.engines.manifest import load_manifest
from dsad_core.engines.platform import Backend, load_platform
from dsad_core.engines.protocol import Engine
from dsad_core.errors import (
    EngineError,
    NotInstalledError,
    PlatformError,
    UnsupportedModelError,
    UsageError,
)
from dsad_core.hardware import device
from dsad_core.machine import usable_cores
from dsad_core.plugins import plugins


def load_engine(
    name_or_path: str | Path,
    platform: str = "cpu",
    threads: int | None = None,
    backend: Backend | None = None,
) -> Engine:
    """Find an engine, verify it and get it ready to run.

    Of the platform's backends the first runs that this machine has and that can take the model; the engine's
    description names it, and those before it with the reason why they were passed over.

    A checkpoint runs, too, where the package that trained it is installed: that package is a
    plugin of kind ``engine`` (see `dsad_core.plugins`). So this package needs no training framework.

    Args:
        name_or_path: see ``locate.find_engine``; or weights, see ``locate.find_checkpoint``.
        platform: cpu, cuda, agx or ascend.
        threads: CPU threads; None for what the platform's file says, or every physical core.
        backend: this one and no other; None for the platform's file's order.

    Raises:
        PlatformError: no such platform.
        NotInstalledError: this machine lacks what the platform needs; one line says all that is missing.
        UnsupportedModelError: no backend that is here can take the model.
        EngineError: there is no such engine, it does not agree with its manifest, or it is a checkpoint
            and nothing that is installed loads it.
        UsageError: threads below 1, or no such backend.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads} must be at least 1")
    checkpoint = find_checkpoint(name_or_path)
    if checkpoint is not None:
        return _load_checkpoint(checkpoint, platform, threads, backend)
    request = resolve_request(name_or_path, platform, threads, backend)
    passed_over: dict[Backend, PlatformError] = {}
    # One after the other: looking for a runtime may import it, which takes longer than the rest of a start.
    for name in request.backends:
        try:
            engine = open_backend(name, request)
            break
        except (NotInstalledError, UnsupportedModelError) as error:
            passed_over[name] = error
    else:
        raise _refusal(request, passed_over)
    engine.passed_over = _reasons(passed_over)
    if passed_over:
        engine.description += f" (passed over {'; '.join(engine.passed_over)})"
    return engine


def resolve_request(
    name_or_path: str | Path, platform: str, threads: int | None, backend: Backend | None
) -> EngineRequest:
    """Find and verify what `load_engine` opens; each file is read once.

    Raises:
        NotInstalledError, EngineError, UsageError, PlatformError: see `load_engine`.
    """
    options = load_platform(platform)
    folder = find_engine(name_or_path)
    backends = choose_backends(options, backend)
    if missing := describe_missing(device(platform)):
        raise cannot_run(options, missing, {})
    return EngineRequest(
        folder, load_manifest(folder), options, backends, threads or options.threads or usable_cores()
    )


def _refusal(request: EngineRequest, passed_over: dict[Backend, PlatformError]) -> PlatformError:
    if all(isinstance(error, NotInstalledError) for error in passed_over.values()):
        return cannot_run(request.platform, "", passed_over)
    return UnsupportedModelError(
        f"engine {request.manifest.name} on target {request.platform.platform}: no backend takes it; "
        + "; ".join(_reasons(passed_over))
    )


def _reasons(passed_over: dict[Backend, PlatformError]) -> tuple[str, ...]:
    return tuple(f"{name}: {error}" for name, error in passed_over.items())


def _load_checkpoint(path: Path, platform: str, threads: int | None, backend: Backend | None) -> Engine:
    if backend is not None:
        raise UsageError(
            f"backend {backend} with {path}: torch runs a checkpoint; `dsad compile` makes an engine of it"
        )
    load_platform(platform)
    loader = plugins("engine").get(CHECKPOINT_SUFFIX.removeprefix("."))
    if loader is None:
        raise EngineError(
            f"{path}: a training checkpoint, which the runtime alone cannot run; use the "
            "environment of the training stage, or `dsad compile` it to an engine there"
        )
    engine = loader.load()(path, platform, threads)
    engine.backend, engine.precision, engine.passed_over, engine.folder = "torch", "fp32", (), path
    return engine
