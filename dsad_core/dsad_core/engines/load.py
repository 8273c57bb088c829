"""From an engine's name to an engine that runs."""

from pathlib import Path

from dsad_core.engines.backends import backend_module, choose_backends, describe_missing, require_platform
from dsad_core.engines.locate import CHECKPOINT_SUFFIX, find_checkpoint, find_engine
from dsad_core.engines.manifest import load_manifest
from dsad_core.engines.protocol import Engine
from dsad_core.engines.platform import Backend, effective_precision, load_platform
from dsad_core.errors import EngineError, UnsupportedModelError, UsageError
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
        PlatformError: this machine lacks what the platform needs; one line says all that is missing.
        UnsupportedModelError: no backend that is here can take the model.
        EngineError: there is no such engine, it does not agree with its manifest, or it is a checkpoint
            and nothing that is installed loads it.
        UsageError: threads below 1, or no such backend.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads} must be at least 1")
    options = load_platform(platform)
    checkpoint = find_checkpoint(name_or_path)
    if checkpoint is not None:
        if backend is not None:
            raise UsageError(
                f"backend {backend} with {checkpoint}: a checkpoint is run by who trained it; "
                "`dsad compile` makes an engine of it"
            )
        return _load_checkpoint(checkpoint, platform, threads)
    folder = find_engine(name_or_path)
    names = choose_backends(options, backend)
    if describe_missing(device(platform)):
        require_platform(platform, backend)  # raises, and names all that is missing
    manifest = load_manifest(folder)
    threads = threads or options.threads or usable_cores()
    passed_over, usable = [], False
    # One after the other: looking for a runtime may import it, which takes longer than the rest of a start.
    for name in names:
        module = backend_module(name)
        reason = describe_missing(module.requirements(options))
        if not reason:
            usable = True
            try:
                engine = module.open_engine(folder, manifest, options, threads)
            except UnsupportedModelError as error:
                reason = str(error)
            else:
                if passed_over:
                    engine.description += f" (passed over {'; '.join(passed_over)})"
                engine.backend, engine.precision = name, effective_precision(manifest, options)
                engine.passed_over, engine.folder = tuple(passed_over), folder
                return engine
        passed_over.append(f"{name}: {reason}")
    if not usable:
        require_platform(platform, backend)
    raise UnsupportedModelError(
        f"engine {manifest.name} on target {platform}: no backend takes it; " + "; ".join(passed_over)
    )


def _load_checkpoint(path: Path, platform: str, threads: int | None) -> Engine:
    loader = plugins("engine").get(CHECKPOINT_SUFFIX.removeprefix("."))
    if loader is None:
        raise EngineError(
            f"{path}: a training checkpoint, which the runtime alone cannot run; use the "
            "environment of the training stage, or `dsad compile` it to an engine there"
        )
    engine = loader.load()(path, platform, threads)
    engine.backend, engine.precision, engine.passed_over, engine.folder = "torch", "fp32", (), path
    return engine
