"""From an engine's name to an engine that runs."""

from importlib.metadata import entry_points
from pathlib import Path

from dsad_core.engines.locate import CHECKPOINT_SUFFIX, find_checkpoint, find_engine
from dsad_core.engines.onnx_runtime import OnnxRuntimeEngine
from dsad_core.engines.protocol import Engine
from dsad_core.engines.target_file import load_target
from dsad_core.errors import EngineError, UsageError
from dsad_core.hardware import require_target


def load_engine(name_or_path: str | Path, target: str = "cpu", threads: int | None = None) -> Engine:
    """Find an engine, verify it and get it ready to run.

    A checkpoint runs, too, where the package that trained it is installed: that package offers by the
    entry point group ``dsad.engines``, under the name of the weights' suffix (``safetensors``), a function
    ``load(path, target, threads) -> Engine``. So this package needs no training framework.

    Args:
        name_or_path: see ``locate.find_engine``; or weights, see ``locate.find_checkpoint``.
        target: cpu, cuda, agx or ascend.
        threads: CPU threads; None for what the target file says.

    Raises:
        TargetError: this machine cannot run the target; one line says all that is missing.
        EngineError: there is no such engine, it does not agree with its manifest, or it is a checkpoint
            and nothing that is installed loads it.
        UsageError: threads below 1.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads} must be at least 1")
    options = load_target(target)
    checkpoint = find_checkpoint(name_or_path)
    if checkpoint is not None:
        return _load_checkpoint(checkpoint, target, threads)
    folder = find_engine(name_or_path)
    require_target(target)
    return OnnxRuntimeEngine(folder, options, threads)


def _load_checkpoint(path: Path, target: str, threads: int | None) -> Engine:
    loaders = list(entry_points(group="dsad.engines", name=CHECKPOINT_SUFFIX.removeprefix(".")))
    if not loaders:
        raise EngineError(f"{path}: a training checkpoint, which the runtime alone cannot run; use the "
                          "environment of the training stage, or `dsad export` it to an engine there")
    return loaders[0].load()(path, target, threads)
